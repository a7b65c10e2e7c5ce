"""Ranges of entry ids and their short form: `7-1..4,7-6` are five ids of incarnation 7."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .stream_entry import EntryId


class IdRange(NamedTuple):
    """Ids of one incarnation with consecutive sequence numbers, from `first` to `last`."""

    incarnation: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """The number of ids."""
        return self.last - self.first + 1


def merge(ids: Iterable[EntryId]) -> list[IdRange]:
    """The smallest number of ranges that contain exactly these ids, in order."""
    ranges: list[IdRange] = []
    for incarnation, sequence in sorted(ids):
        if ranges and ranges[-1].incarnation == incarnation and ranges[-1].last == sequence - 1:
            ranges[-1] = ranges[-1]._replace(last=sequence)
        else:
            ranges.append(IdRange(incarnation, sequence, sequence))
    return ranges


def format_ranges(ranges: Iterable[IdRange]) -> str:
    """The text of ranges in the ledger. The commit script writes the same form."""
    return ",".join(
        f"{incarnation}-{first}" if first == last else f"{incarnation}-{first}..{last}"
        for incarnation, first, last in ranges
    )


def parse_ranges(text: str) -> list[IdRange]:
    """The inverse of `format_ranges`. Raises ValueError for any other text."""
    ranges = []
    for part in filter(None, text.split(",")):
        incarnation, _, sequences = part.partition("-")
        first, _, last = sequences.partition("..")
        ranges.append(IdRange(int(incarnation), int(first), int(last or first)))
    return ranges
