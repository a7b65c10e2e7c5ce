"""metrics.jsonl: one line for each update of a run, over all its starts; of a long run, for some of the updates."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from ...common.process.clock import Every, monotonic_s
from ...common.process.log import Log
from ..records.version_lines import lines_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WARN_EVERY_S = 10.0
# Each line is at least this part of the run's time after the one before. So ten updates a second have a line each for
# 33 minutes, and a run of a week has up to 135,000 lines (85 MB) instead of 6 million (3.8 GB).
_LINES = 20_000
_log = Log("record")


class MetricsFile:
    """The file of one learner process. For one thread at a time.

    Each line is written at once, which takes a few microseconds: a learner that is killed has written all its lines. A
    line that cannot be written is missing from the file, and the run continues. The last update before `close` has a
    line in any case.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._began_s = monotonic_s()
        self._seconds_before: float | None = None  # of the run's earlier starts together
        self._written_s = -math.inf  # when the last line was written, in the run's seconds
        self._skipped: dict[str, Any] | None = None  # the last update, if it has no line
        self._cut = False  # the last line was not written to its end
        self._warning = Every(_WARN_EVERY_S)

    def resume(self, epoch: int, version: int) -> None:
        """Go on after a version. The lines of later versions, which are lost, are dropped.

        If no line is left, the file is of something else: it is kept as `metrics.jsonl.old`.
        """
        self._skipped = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab+") as file:
                size, last = lines_until(file, epoch, version)
                is_other = not size and file.seek(0, 2) > 0
                if not is_other:
                    file.truncate(size)
            if is_other:
                self._path.replace(self._path.with_name(f"{self._path.name}.old"))
        except OSError as error:
            self._warn(error)
            last = {}
        if self._seconds_before is None:
            self._seconds_before = float(last.get("seconds") or 0.0)
        self.close()

    @property
    def seconds(self) -> float:
        """Since the beginning of the run, in all of its starts together."""
        return (self._seconds_before or 0.0) + monotonic_s() - self._began_s

    def append(self, update: Mapping[str, Any]) -> None:
        """Add a line: the time, the run's seconds, and the fields of an update, whose numbers are finite.

        It is left out where the last one was too short a time ago.
        """
        seconds = self.seconds
        fields = {"time": round(time.time(), 3), "seconds": round(seconds, 3), **update}
        if seconds - self._written_s < seconds / _LINES:
            self._skipped = fields
            return
        self._written_s, self._skipped = seconds, None
        self._write(fields)

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self._skipped is not None:
            self._write(self._skipped)
            self._skipped = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, fields: Mapping[str, Any]) -> None:
        line = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        if self._cut:
            line = b"\n" + line
        try:
            if self._file is None:
                self._file = self._path.open("ab", buffering=0)
            self._cut = self._file.write(line) != len(line)
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        if self._warning.due():
            _log.warning("metrics not written", file=self._path, error=error)
