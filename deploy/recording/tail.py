"""Reads a file of lines of JSON while another process appends to it."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was read: to the end of a line, and what this line was, so that a file that was cut is noticed."""

    end: int = 0  # in bytes
    length: int = 0  # of the last line, in bytes
    checksum: int = 0  # of the last line


class Tail:
    """The lines that are new in a file since the last call."""

    def __init__(self, path: Path, position: Position | None = None) -> None:
        self._path = path
        self.position = position or Position()

    @property
    def is_rewritten(self) -> bool:
        """Whether what was read is no longer what the file has there."""
        at = self.position
        if not at.end:
            return False
        if not 0 < at.length <= at.end:
            return True
        try:
            with self._path.open("rb") as file:
                file.seek(at.end - at.length)
                last = file.read(at.length)
        except FileNotFoundError:
            return True
        return len(last) != at.length or zlib.crc32(last) != at.checksum

    def read(self, most_bytes: int) -> list[dict[str, Any]]:
        """The objects of the next whole lines, in at most so many bytes unless one line is longer.

        A line that is no JSON object is skipped.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self.position.end)
                text = file.read(most_bytes)
                if text and b"\n" not in text:
                    text += file.readline()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        if not whole:
            return []
        lines = whole.splitlines(keepends=True)
        self.position = Position(self.position.end + len(whole), len(lines[-1]), zlib.crc32(lines[-1]))
        return [found for line in lines if isinstance(found := _decoded(line), dict)]


def _decoded(line: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(line)
    except ValueError:
        return None
