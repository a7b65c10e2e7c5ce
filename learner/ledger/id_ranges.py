"""Ranges of entry ids and their short form: `7-1..4,7-6` are five ids of incarnation 7."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .stream_entry import EntryId


class IdRange(NamedTuple):
    """Ids of one incarnation whose sequence numbers follow each other."""

    incarnation: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many ids."""
        return self.last - self.first + 1


def merge(ids: Iterable[EntryId]) -> list[IdRange]:
    """The fewest ranges that hold just these ids, in order."""
    ranges: list[IdRange] = []
    for incarnation, sequence in sorted(ids):
        if ranges and ranges[-1].incarnation == incarnation and ranges[-1].last == sequence - 1:
            ranges[-1] = ranges[-1]._replace(last=sequence)
        else:
            ranges.append(IdRange(incarnation, sequence, sequence))
    return ranges


def format_ranges(ranges: Iterable[IdRange]) -> str:
    """As the ledger has them; the commit script writes the same."""
    return ",".join(
        f"{incarnation}-{first}" if first == last else f"{incarnation}-{first}..{last}"
        for incarnation, first, last in ranges
    )


def parse_ranges(text: str) -> list[IdRange]:
    """The inverse. Raises ValueError where the text is none."""
    ranges = []
    for part in filter(None, text.split(",")):
        incarnation, _, sequences = part.partition("-")
        first, _, last = sequences.partition("..")
        ranges.append(IdRange(int(incarnation), int(first), int(last or first)))
    return ranges
