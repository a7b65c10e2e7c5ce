"""The backlog: finished games on their way to Redis, in memory or on disk, and bounded; the oldest give way."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...common.errors import ConfigError, WireError
from ...common.process.log import Log
from . import spool as files

if TYPE_CHECKING:
    from pathlib import Path

    from ...common.wire.trajectory import Header
    from ..transport.outbox import EntryId
    from .spool import Spool

_log = Log("client")


@dataclass(slots=True, eq=False)
class QueuedEpisode:
    """One finished game, encoded: in memory, on disk, or both."""

    size: int
    packed: tuple[Header, bytes] | None
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What may wait for Redis."""

    queue_games: int = 1024  # without a spool
    queue_bytes: int = 64 << 20  # in memory
    spool_bytes: int = 1 << 30  # on disk

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        for name in ("queue_games", "queue_bytes", "spool_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: {getattr(self, name)}, expected at least 1")


class SendQueue:
    """Shared by the thread that fills it and the one that empties it. A game's thread never waits for its lock."""

    def __init__(self, limits: Limits, spool: Spool | None = None) -> None:
        self._limits, self._spool = limits, spool
        self._changed = threading.Condition()
        self._queue: deque[QueuedEpisode] = deque()
        self._under_way = 0  # taken, and not yet acknowledged
        self._unnumbered = 0  # dropped, and not yet seen by the numbering
        self._in_memory = self._on_disk = 0  # bytes of what is queued
        self.sent = self.dropped = 0
        self.largest = 0  # bytes of one game so far
        self.closed = False
        self.resumed: dict[EntryId, QueuedEpisode] = {}  # what a process before may have sent: to be sent again first
        if spool is not None:
            numbered, new = spool.found()
            self.resumed = {entry_id: _on_disk(file) for entry_id, file in numbered.items()}
            self._under_way = len(self.resumed)
            for file in new:
                self._append(_on_disk(file))

    @property
    def games(self) -> int:
        """Finished and not yet acknowledged."""
        return len(self._queue) + self._under_way

    @property
    def spooled(self) -> int:
        """Of these, queued on disk; what is under way is there too."""
        return sum(parcel.file is not None for parcel in list(self._queue))

    def put(self, header: Header, payload: bytes) -> None:
        """Append a game; where there is no room, the oldest make it."""
        parcel = QueuedEpisode(len(payload), (header, payload))
        if self._spool is not None:
            try:
                parcel.file = self._spool.write(header, payload)
            except OSError as error:
                _log.warning("game not spooled", error=error)
        with self._changed:
            self._append(parcel)
            self._changed.notify_all()

    def take(self, most: int) -> tuple[int, list[QueuedEpisode]]:
        """How many were dropped since the last call that gave any, and up to so many of the oldest left."""
        taken: list[QueuedEpisode] = []
        with self._changed:
            while self._queue and len(taken) < most:
                taken.append(self._pop())
            self._under_way += len(taken)
            dropped = self._unnumbered if taken else 0
            self._unnumbered -= dropped
        return dropped, taken

    def put_back(self, parcels: list[QueuedEpisode]) -> None:
        """Return what was taken and is certainly not in Redis, to the front and in order."""
        with self._changed:
            for parcel in reversed(parcels):
                self._push(parcel, front=True)
            self._under_way -= len(parcels)

    def open(self, parcel: QueuedEpisode) -> tuple[Header, bytes] | None:
        """What is in a taken parcel; None where its file is gone or torn, which counts as dropped."""
        if parcel.packed is None and parcel.file is not None:
            try:
                parcel.packed = files.read(parcel.file)
            except (OSError, WireError) as error:
                _log.warning("spooled game not readable", file=parcel.file, error=error)
                self._lose(parcel)
        return parcel.packed

    def number(self, parcel: QueuedEpisode, entry_id: EntryId) -> None:
        """Note on disk the id that a taken parcel is about to be sent under."""
        if self._spool is None or parcel.file is None:
            return
        try:
            parcel.file = self._spool.number(parcel.file, entry_id)
        except OSError as error:  # a later process would send it as new: rather lost with this one than twice
            _log.warning("spooled game not numbered", file=parcel.file, error=error)
            self.forget(parcel)

    def forget(self, parcel: QueuedEpisode) -> None:
        """Remove a parcel's file: it is in Redis for good."""
        if parcel.file is not None:
            files.discard(parcel.file)
            parcel.file = None

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

    def release(self) -> None:
        """Let another process have the spool; nothing may be written after this."""
        if self._spool is not None:
            self._spool.close()

    def _append(self, parcel: QueuedEpisode) -> None:
        if parcel.file is not None and self._in_memory + parcel.size > self._limits.queue_bytes:
            parcel.packed = None  # its turn comes later: then it is read back
        self._push(parcel)
        while len(self._queue) > 1 and self._overfull():
            self.forget(self._pop())
            self.dropped += 1
            self._unnumbered += 1

    def _overfull(self) -> bool:
        limits = self._limits
        if self._in_memory > limits.queue_bytes or self._on_disk > limits.spool_bytes:
            return True
        return self._spool is None and len(self._queue) > limits.queue_games

    def _push(self, parcel: QueuedEpisode, *, front: bool = False) -> None:
        (self._queue.appendleft if front else self._queue.append)(parcel)
        self.largest = max(self.largest, parcel.size)
        self._weigh(parcel, 1)

    def _pop(self) -> QueuedEpisode:
        parcel = self._queue.popleft()
        self._weigh(parcel, -1)
        return parcel

    def _weigh(self, parcel: QueuedEpisode, sign: int) -> None:
        self._in_memory += sign * parcel.size * (parcel.packed is not None)
        self._on_disk += sign * parcel.size * (parcel.file is not None)

    def _lose(self, parcel: QueuedEpisode) -> None:
        self.forget(parcel)
        with self._changed:
            self._under_way -= 1
            self.dropped += 1
            self._unnumbered += 1
            self._changed.notify_all()


def _on_disk(file: Path) -> QueuedEpisode:
    return QueuedEpisode(file.stat().st_size, None, file)
