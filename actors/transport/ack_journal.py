"""The journal: an actor's own record of the entries that the server acknowledged, for `broodmind verify`.

One file for each incarnation, one line for each entry. An entry that is listed here and is neither in a stream nor in
the ledger was lost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...common.errors import ConfigError
from ...common.process.clock import now_ms
from ...common.server.keys import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ...common.wire.entry_header import Header

_SUFFIX = ".journal"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One entry that the server acknowledged."""

    number: int  # its sequence number
    steps: int
    games: int
    at_ms: int  # when it was acknowledged first


class Journal:
    """Appends without a buffer: a line that was written stays, even if the process is killed."""

    def __init__(self, folder: Path, actor: str, incarnation: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{actor}@{incarnation}{_SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, acknowledged: Iterable[tuple[int, Header]]) -> None:
        """Note entries that have just been acknowledged for the first time, by sequence number and header."""
        at_ms = now_ms()
        lines = [f"{number} {header.steps} {header.games} {at_ms}\n" for number, header in acknowledged]
        if lines:
            os.write(self._file, "".join(lines).encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_journals(folder: Path) -> dict[str, dict[int, list[Acknowledged]]]:
    """Read every journal in a folder: by actor and incarnation, the acknowledged entries in order.

    A last line without a newline is left out: the process was killed while it wrote it.

    Raises:
        ConfigError: if a file's name or another line does not have a journal's form.
    """
    journals: dict[str, dict[int, list[Acknowledged]]] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        actor, _, incarnation = path.name.removesuffix(_SUFFIX).rpartition("@")
        try:
            if not NAME.fullmatch(actor):
                raise ValueError(f"name {actor!r}")  # noqa: TRY301 - one message for bad names and bad lines
            *lines, _torn = path.read_text().split("\n")
            entries = [Acknowledged(*map(int, line.split(" "))) for line in lines]
            journals.setdefault(actor, {})[int(incarnation)] = entries
        except (ValueError, TypeError) as error:
            raise ConfigError(f"journal {path}: {error}, expected ACTOR@INCARNATION and 4 numbers a line") from error
    return journals
