"""The child's side of supervision: it reports progress, and drains when its supervisor has ended.

A supervised process and its supervisor share two pipes and a folder, which every operating system supports:
    * standard input, which is closed when the supervisor ends, even if it is killed: the child then drains;
    * standard output, on which the child writes one JSON object a line: `{}` is a heartbeat, and an object with fields
      adds them to the record of this attempt;
    * a folder for temporary files, named by an environment variable. Both try to remove it when they end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

from ...common.process.clock import Every
from ...common.process.shutdown import Stop, stop_on_signal, stop_with_parent

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "BROODMIND_ATTEMPT_FOLDER"
_HEARTBEAT_EVERY_S = 0.5
_ORPHAN_GRACE_S = 15.0  # time for draining without a supervisor, then the session is killed


class ProgressPipe:
    """Reports progress to the supervisor. For one thread: the one whose progress is reported."""

    def __init__(self, descriptor: int | None = None) -> None:
        """Args: descriptor: the pipe to write to; None: all reports are discarded."""
        self._descriptor = descriptor
        # A write blocks when the pipe is full. At this rate the buffer of a pipe lasts for hours without a reader.
        self._due = Every(_HEARTBEAT_EVERY_S)

    def heartbeat(self) -> None:
        """Report that the work makes progress.

        Call it where the work is done and not from a timer, which would continue while the work hangs.
        """
        if self._due.due():
            self.report()

    def report(self, **fields: object) -> None:
        """Add fields to the record of this attempt. A later value of a field replaces an earlier one."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # the supervisor has ended; the end of standard input shows that too
                os.write(self._descriptor, json.dumps(fields).encode() + b"\n")


class HeartbeatStop(Stop):
    """A Stop that sends a heartbeat whenever it is asked: a loop that waits for other processes has not hung."""

    def __init__(self, stop: Stop, progress: ProgressPipe) -> None:
        super().__init__()
        self._stop, self._progress = stop, progress

    @property
    def requested(self) -> bool:
        """See Stop."""
        self._progress.heartbeat()
        return self._stop.requested

    def request(self) -> None:
        """See Stop."""
        self._stop.request()


@contextlib.contextmanager
def supervised_child() -> Iterator[tuple[Stop, ProgressPipe]]:
    """Connect this process to its supervisor. Must be entered in the main thread, before anything is printed."""
    folder = os.environ.get(FOLDER)

    def remove_folder() -> None:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)

    progress = ProgressPipe(_take_standard_output())
    with stop_on_signal() as stop:
        stop_with_parent(stop, grace_s=_ORPHAN_GRACE_S, last_act=remove_folder)
        try:
            yield stop, progress
        finally:
            remove_folder()


def _take_standard_output() -> int | None:
    """Reserve the pipe for reports: from now on the output of games and their processes goes to standard error."""
    try:
        sys.stdout.flush()
        descriptor = os.dup(1)  # not inherited by other processes
        os.dup2(2, 1)
    except (OSError, AttributeError):  # AttributeError: there is no standard output
        return None
    return descriptor
