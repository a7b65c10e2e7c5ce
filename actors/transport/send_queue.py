"""The send queue: entries that wait for room in the stream, in memory or on disk, within limits."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...common.arguments import whole_number

if TYPE_CHECKING:
    from .entry import Entry


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum size of the queue of games that wait for Redis; beyond it the oldest games are dropped."""

    queue_games: int = 1024  # without a spool
    queue_bytes: int = 64 << 20  # in memory
    spool_bytes: int = 1 << 30  # on disk

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        for name in ("queue_games", "queue_bytes", "spool_bytes"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 1))


class SendQueue:
    """A first-in, first-out queue that counts the bytes of its entries. Only `Delivery` uses it, under its lock."""

    def __init__(self, limits: Limits | None, *, spooled: bool) -> None:
        """Create an empty queue.

        Args:
            limits: its maximum size; None: unlimited.
            spooled: whether entries are also kept on disk. If so, `queue_games` does not apply.
        """
        self._limits, self._spooled = limits, spooled
        self._entries: deque[Entry] = deque()
        self._in_memory = self._on_disk = 0  # bytes
        self._games = 0

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, entry: Entry) -> list[Entry]:
        """Add an entry at the end. Removes and returns the oldest entries if the queue is too large.

        The newest entry stays, however large it is or however many games are in it.
        """
        limits = self._limits
        if limits is not None and entry.file is not None and self._in_memory + entry.size > limits.queue_bytes:
            entry.content = None  # read back from disk when its turn comes
        self._entries.append(entry)
        self._weigh(entry, 1)
        removed: list[Entry] = []
        while len(self._entries) > 1 and self._too_large():
            removed.append(self.pop())
        return removed

    def put_back(self, entries: list[Entry]) -> None:
        """Add entries at the front, in the given order."""
        self._entries.extendleft(reversed(entries))
        for entry in entries:
            self._weigh(entry, 1)

    def pop(self) -> Entry:
        """Remove and return the oldest entry."""
        entry = self._entries.popleft()
        self._weigh(entry, -1)
        return entry

    def _weigh(self, entry: Entry, sign: int) -> None:
        self._in_memory += sign * entry.size * (entry.content is not None)
        self._on_disk += sign * entry.size * (entry.file is not None)
        self._games += sign * entry.games

    def _too_large(self) -> bool:
        limits = self._limits
        if limits is None:
            return False
        if self._in_memory > limits.queue_bytes or self._on_disk > limits.spool_bytes:
            return True
        return not self._spooled and self._games > limits.queue_games
