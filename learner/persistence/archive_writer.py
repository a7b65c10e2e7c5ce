"""The archive: a copy of the consumed entries, as files.

An entry is written only after the commit that consumed it has succeeded, so all entries in the archive are committed.
The entries of the last commit before a crash, or of a commit whose reply was lost, may be missing.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ...common.errors import ConfigError
from ...common.process.atomic_file import sync_folder
from ...common.process.clock import Every
from ...common.process.log import Log
from ...common.wire.archive_format import (
    MAGIC,
    PART,
    SUFFIX,
    ArchivedEntry,
    encode_entry,
    encode_head,
    frame,
    whole_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...common.spec import RunSpec
    from ..config import ArchiveConfig
    from ..ledger.counters import Rejection
    from ..ledger.head import Head
    from ..ledger.stream_entry import Entry

_log = Log("archive")
_WARN_EVERY_S = 10.0


class Archive:
    """One run's segments in a folder that other runs may share. Only for the lease's holder, and for one thread."""

    def __init__(self, config: ArchiveConfig, run: str, spec: RunSpec) -> None:
        self._config, self._run, self._spec = config, run, spec
        self._folder = config.archive or Path()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"archive: {str(config.archive)!r}, expected a folder ({error.strerror})") from error
        self._file: BinaryIO | None = None
        self._path = self._folder
        self._warning = Every(_WARN_EVERY_S)

    def append(self, entries: Sequence[ArchivedEntry]) -> None:
        """Add entries. If they cannot be written, they are missing from the archive, and the run continues."""
        try:
            file = self._file or self._open()
            for entry in entries:
                file.write(frame(encode_entry(entry)))
            file.flush()
            if file.tell() >= self._config.segment_bytes:
                self._finish()
        except OSError as error:
            if self._warning.due():
                _log.warning("entries not archived", error=error, entries=len(entries))
            self._let_go()

    def close(self) -> None:
        """Finish the segment that is being written."""
        try:
            self._finish()
        except OSError as error:
            _log.warning("segment not finished", error=error, path=self._path)
            self._let_go()

    def _open(self) -> BinaryIO:
        """Begin a segment, after finishing the segment that an earlier learner left unfinished."""
        for part in self._paths(PART):
            self._recover(part)
        numbers = [self._number(path) for path in self._paths(SUFFIX)]
        self._path = self._folder / f"{self._run}-{max(numbers, default=0) + 1:06}{PART}"
        self._file = self._path.open("wb")
        self._file.write(MAGIC + frame(encode_head(self._run, self._spec)))
        return self._file

    def _finish(self) -> None:
        if self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        self._path.replace(_finished(self._path))
        sync_folder(self._folder)
        self._drop_the_oldest()

    def _recover(self, part: Path) -> None:
        whole = whole_bytes(part)
        if not whole:
            part.unlink()
            return
        with part.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
        part.replace(_finished(part))
        _log.info("unfinished segment recovered", path=part, bytes=whole)

    def _drop_the_oldest(self) -> None:
        left = sum(path.stat().st_size for path in self._paths(SUFFIX))
        for path in self._paths(SUFFIX)[:-1]:
            if left <= self._config.max_bytes:
                return
            left -= path.stat().st_size
            path.unlink()

    def _let_go(self) -> None:
        """Close the unfinished segment. `_open` recovers its complete records when the next segment begins."""
        if self._file is not None:
            with suppress(OSError):  # closing writes the buffer, which has just failed
                self._file.close()
            self._file = None

    def _paths(self, suffix: str) -> list[Path]:
        found = [path for path in self._folder.iterdir() if path.name.endswith(suffix) and self._number(path)]
        return sorted(found, key=self._number)

    def _number(self, path: Path) -> int:
        """The number of a segment of this run; 0 for any other file."""
        match = re.fullmatch(rf"{re.escape(self._run)}-(\d+)({re.escape(SUFFIX)}|{re.escape(PART)})", path.name)
        return int(match[1]) if match else 0


def archived(
    entries: Collection[Entry], rejected: Collection[tuple[Entry, Rejection]], head: Head
) -> list[ArchivedEntry]:
    """The entries consumed by the commit that led to `head`, in the form of the archive."""
    reasons = {(entry.actor, entry.id): (reason, entry.problem) for entry, reason in rejected}
    return [
        ArchivedEntry(
            *(entry.actor, entry.id, entry.header, entry.payload),
            *reasons.get((entry.actor, entry.id), ("", "")),
            *(head.commit, head.version),
        )
        for entry in entries
    ]


def _finished(part: Path) -> Path:
    return part.with_name(part.name.removesuffix(PART) + SUFFIX)
