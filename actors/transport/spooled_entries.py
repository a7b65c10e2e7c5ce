"""The files of entries in the spool, each named after its entry's state. A disk that fails costs no game."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ...common.errors import WireError
from ...common.process.log import Log
from .entry import Entry, State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ...common.wire.entry_header import Header
    from .entry import EntryId

_log = Log("client")


class EntryFiles(Protocol):
    """The methods of `Spool` that a delivery calls. All but `games_in`, `discard` and `close` may raise OSError."""

    def found(self) -> tuple[dict[EntryId, Path], list[Path]]:
        """The files of an earlier process: those it may have sent, by id, and those it has not sent."""

    def games_in(self, file: Path) -> int:
        """How many games ended in a file's entry."""

    def write(self, header: Header, payload: bytes) -> Path:
        """Write an entry that has no id yet to a file."""

    def read(self, file: Path) -> tuple[Header, bytes]:
        """Read an entry from its file. Raises WireError too, for a damaged file."""

    def number(self, file: Path, entry_id: EntryId) -> Path:
        """Rename a file after the id under which its entry will be sent."""

    def unnumber(self, file: Path, queued_as: Path) -> Path:
        """Give a file its first name back. Its entry is certainly not in the stream."""

    def discard(self, file: Path) -> None:
        """Remove a file."""

    def close(self) -> None:
        """Release the spool, so that another process can use it."""


class SpooledEntries:
    """Keeps the files of a delivery's entries. A file that cannot be written or renamed costs no game."""

    def __init__(self, spool: EntryFiles | None) -> None:
        """Use a spool; None: entries are in memory alone, and nothing here does anything."""
        self._spool = spool

    def of_earlier_process(self) -> tuple[list[Entry], list[Entry]]:
        """The entries found in the spool: those that may be sent already, in the order of their ids, and the others."""
        if self._spool is None:
            return [], []
        may_be_sent, new = self._spool.found()
        sent = [
            Entry(_size(file), None, file, state=State.SENT, entry_id=entry_id, games=self._spool.games_in(file))
            for entry_id, file in may_be_sent.items()
        ]
        queued = [Entry(_size(file), None, file, queued_as=file, games=self._spool.games_in(file)) for file in new]
        return sent, queued

    def write(self, entry: Entry) -> None:
        """Write the content of a new entry to a file."""
        if self._spool is None or entry.content is None:
            return
        try:
            entry.file = entry.queued_as = self._spool.write(*entry.content)
        except OSError as error:
            _log.warning("game not spooled, kept in memory", error=error)

    def load(self, entry: Entry) -> bool:
        """Read an entry's content from its file unless it is in memory. Returns False if it is gone or damaged."""
        if entry.content is None and entry.file is not None and self._spool is not None:
            try:
                entry.content = self._spool.read(entry.file)
            except (OSError, WireError) as error:
                _log.warning("spooled game not readable", file=entry.file, error=error)
        return entry.content is not None

    def number(self, entry: Entry) -> bool:
        """Name an entry's file after its id. Returns False if that failed: the entry has no file any more."""
        if self._spool is None or entry.file is None or entry.entry_id is None:
            return True
        try:
            entry.file = self._spool.number(entry.file, entry.entry_id)
        except OSError as error:  # a later process would send it again under another id: keep no file of it
            _log.warning("spooled game not renamed after its id, kept in memory", file=entry.file, error=error)
            self.discard(entry)
            return False
        return True

    def unnumber(self, entry: Entry) -> None:
        """Give the file of an entry that was taken back its first name."""
        if self._spool is None or entry.file is None or entry.queued_as is None:
            return
        try:
            entry.file = self._spool.unnumber(entry.file, entry.queued_as)
        except OSError as error:  # a later process will treat the game as one that may have been sent
            _log.warning("spooled game not renamed after it was taken back", file=entry.file, error=error)

    def discard(self, entry: Entry) -> None:
        """Remove an entry's file, if it has one."""
        if entry.file is not None and self._spool is not None:
            self._spool.discard(entry.file)
            entry.file = None

    def release(self, acknowledged: Iterable[Entry]) -> None:
        """Remove the files of acknowledged entries, and release the spool for another process."""
        if self._spool is None:
            return
        for entry in acknowledged:
            self.discard(entry)
        self._spool.close()


def _size(file: Path) -> int:
    return file.stat().st_size
