"""The backlog: finished games on their way to Redis, bounded; the oldest give way when it is full."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..common.trajectory import Header


@dataclass(slots=True, eq=False)
class Parcel:
    """One finished game, encoded."""

    header: Header
    payload: bytes


class Backlog:
    """Shared by the thread that fills it and the one that empties it. No game's thread ever touches its lock."""

    def __init__(self, max_games: int, max_bytes: int) -> None:
        self._max_games, self._max_bytes = max_games, max_bytes
        self._changed = threading.Condition()
        self._queue: deque[Parcel] = deque()
        self._bytes = 0
        self._under_way = 0  # taken, and not yet acknowledged
        self._unnumbered = 0  # dropped, and not yet seen by the numbering
        self.sent = self.dropped = 0
        self.closed = False

    @property
    def games(self) -> int:
        """Finished and not yet acknowledged."""
        return len(self._queue) + self._under_way

    def put(self, parcel: Parcel) -> None:
        """Append a game; where there is no room, the oldest make it."""
        with self._changed:
            self._queue.append(parcel)
            self._bytes += len(parcel.payload)
            while len(self._queue) > 1 and (len(self._queue) > self._max_games or self._bytes > self._max_bytes):
                self._bytes -= len(self._queue.popleft().payload)
                self.dropped += 1
                self._unnumbered += 1
            self._changed.notify_all()

    def put_back(self, parcels: list[Parcel]) -> None:
        """Return what was taken and is certainly not in Redis, to the front and in order."""
        with self._changed:
            self._queue.extendleft(reversed(parcels))
            self._bytes += sum(len(parcel.payload) for parcel in parcels)
            self._under_way -= len(parcels)

    def take(self, most: int) -> tuple[int, list[Parcel]]:
        """How many were dropped since the last call, and up to so many of the oldest left."""
        with self._changed:
            parcels = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
            self._bytes -= sum(len(parcel.payload) for parcel in parcels)
            self._under_way += len(parcels)
            dropped = self._unnumbered if parcels else 0
            self._unnumbered -= dropped
            return dropped, parcels

    def acknowledge(self) -> None:
        """All that was taken has arrived."""
        with self._changed:
            self.sent += self._under_way
            self._under_way = 0
            self._changed.notify_all()

    def wait_for_work(self, timeout_s: float) -> None:
        """Wait until there is something to take, or the backlog is closed."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._queue) or self.closed, timeout_s)

    def wait_until_closed(self, timeout_s: float) -> None:
        """Wait out a pause, which a close ends."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed, timeout_s)

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Whether everything has been acknowledged within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: self.games == 0, timeout_s)

    def close(self) -> None:
        """Let whoever waits go on, and end."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
