"""The spool: finished games on disk, one file an entry, until Redis has them; a later process of the same name goes on.

A file is called `new-...` while its entry is queued, and is renamed to `sent-INCARNATION-SEQUENCE` before the entry is
sent under that id. So a later process can tell the two apart. The entry of a `sent-` file may have arrived: it is sent
again under its id, and Redis accepts or refuses it. The entry of a `new-` file has never been sent. If several games
are in a file, its name contains their number too.
"""

from __future__ import annotations

import itertools
import re
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from ...common.errors import ConfigError, WireError
from ...common.process.clock import now_ms
from ...common.process.log import Log
from ...common.wire import codec
from ...common.wire.entry_header import Header, parse_entry
from ...common.wire.trajectory import MAX_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from ..transport.entry import EntryId

_log = Log("client")

_FORMAT = 2
_FIELDS_MAX = 64  # of an entry, names and values in turn
_NUMBERED = re.compile(r"sent-(\d+)-(\d+)(?:\.(\d+)-games)?\.game")
_NEW = re.compile(r"new-(\d+)-(\d+)(?:\.(\d+)-games)?\.game")
_HALF_WRITTEN = re.compile(r"new-\d+-\d+(\.\d+-games)?\.tmp")
_SLOTS = 1000  # processes of one machine, at most, that have a spool for the same run


class OtherFormat(WireError):
    """A spooled game of another format than this version of broodmind writes."""

    def __init__(self, found: int) -> None:
        super().__init__(f"format: {found}, expected {_FORMAT}: another version of broodmind wrote this game")
        self.found = found


class Spool:
    """A folder that belongs to one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Lock the folder. Raises ConfigError if another process has it, or it cannot be written."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("ab")
        except OSError as error:
            raise ConfigError(f"spool_dir: {folder}: {error}, expected a folder that can be written") from error
        if not _lock(self._lock):
            self._lock.close()
            raise ConfigError(f"spool_dir: {folder} is used by another process, expected a free one: give another name")
        for file in folder.iterdir():
            if _HALF_WRITTEN.fullmatch(file.name):
                _remove(file)
        # Higher than in all file names that exist, even if the clock went back.
        before = max((_pair(match)[0] for file in folder.iterdir() if (match := _NEW.fullmatch(file.name))), default=0)
        self._began_ms, self._numbers = max(now_ms(), before + 1), itertools.count(1)

    def found(self) -> tuple[dict[EntryId, Path], list[Path]]:
        """The files of an earlier process: those it may have sent, by id in order; those not sent, oldest first."""
        names = {file.name: file for file in self._folder.iterdir()}
        numbered = {_pair(match): file for name, file in names.items() if (match := _NUMBERED.fullmatch(name))}
        new = {_pair(match): file for name, file in names.items() if (match := _NEW.fullmatch(name))}
        return dict(sorted(numbered.items())), [file for _, file in sorted(new.items())]

    def games_in(self, file: Path) -> int:
        """How many games are in a file, by its name."""
        match = _NEW.fullmatch(file.name) or _NUMBERED.fullmatch(file.name)
        return int(match[3] or 1) if match else 1

    def write(self, header: Header, payload: bytes) -> Path:
        """Write an entry to a file. A file of the returned name is always complete. Raises OSError."""
        file = self._folder / f"new-{self._began_ms}-{next(self._numbers)}{_ending(header.games)}"
        half_written = file.with_suffix(".tmp")
        half_written.write_bytes(codec.encode({"format": _FORMAT, "entry": header.to_bytes(payload)}))
        half_written.replace(file)
        return file

    def read(self, file: Path) -> tuple[Header, bytes]:
        """What `write` has written.

        A file that another version of broodmind wrote cannot be sent: it is kept as NAME.format-N, for that version.

        Raises:
            OSError: where it cannot be read or renamed.
            WireError: where a power cut damaged it, or it is of another format.
        """
        try:
            return read(file)
        except OtherFormat as error:
            kept = file.replace(file.with_name(f"{file.name}.format-{error.found}"))
            raise WireError(f"{error}; kept as {kept.name}") from error

    def number(self, file: Path, entry_id: EntryId) -> Path:
        """Rename a file after the id under which its entry will be sent. Raises OSError."""
        return file.replace(self._folder / f"sent-{entry_id[0]}-{entry_id[1]}{_ending(self.games_in(file))}")

    def unnumber(self, file: Path, queued_as: Path) -> Path:
        """Give a file the name back that `write` gave it. Its entry is certainly not in Redis. Raises OSError."""
        return file.replace(queued_as)

    def discard(self, file: Path) -> None:
        """Remove an entry's file. If that fails, a later process sends it again, and Redis refuses it."""
        _remove(file)

    def close(self) -> None:
        """Release the folder, so that another process can use it."""
        self._lock.close()


def read(file: Path) -> tuple[Header, bytes]:
    """What `Spool.write` has written. Raises OSError, OtherFormat, or WireError where a power cut damaged it."""
    fields = codec.decode(file.read_bytes(), max_bytes=2 * MAX_BYTES, max_list=_FIELDS_MAX)
    found = fields.get("format")
    if type(found) is int and found != _FORMAT:
        raise OtherFormat(found)
    codec.check_fields(fields, {"format", "entry"})
    codec.take_int(fields, "format", _FORMAT, _FORMAT)
    raw = fields["entry"]
    if not (isinstance(raw, list) and all(isinstance(value, bytes) for value in raw)):
        raise WireError(f"entry: {type(raw).__name__}, expected a list of an entry's fields")
    return parse_entry(raw)


def first_free(folder: Path, name: str) -> tuple[str, Spool]:
    """The first of NAME-000, NAME-001, ... that no living process uses, and its spool.

    After a restart a process gets the name that it had before.
    """
    for slot in range(_SLOTS):
        with suppress(ConfigError):
            return f"{name}-{slot:03}", Spool(folder / f"{name}-{slot:03}")
    raise ConfigError(f"spool_dir: {folder}, expected a folder that can be written, with a free name in it")


def _ending(games: int) -> str:
    return ".game" if games == 1 else f".{games}-games.game"


def _pair(match: re.Match[str]) -> tuple[int, int]:
    return int(match[1]), int(match[2])


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:  # on Windows, while another program has the file open
        _log.warning("file not removed", file=file, error=error)


def _lock(file: IO[bytes]) -> bool:
    """Lock a file until it is closed or the process ends; False if another process has locked it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
