"""The outbox: what an actor has numbered, and what it must be ready to send again.

An entry's id is chosen here, INCARNATION-SEQUENCE. After a lost connection everything sent in the last seconds is sent
again, in order and before anything new: Redis refuses what it has as "equal or smaller", and gets back what a log that
is only synced every second had lost.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..common.streams import Argument
    from ..common.trajectory import Header

# appendfsync everysec may lose up to two seconds of acknowledged writes; twice that covers a slow disk.
REPLAY_S = 4.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An XADD, as often as it takes."""

    number: int
    header: Header
    command: tuple[Argument, ...]


class Outbox:
    """The numbered entries of one incarnation of an actor."""

    def __init__(self, stream: str, incarnation: int) -> None:
        self._stream, self._incarnation = stream, incarnation
        self._sequence = 0
        self._unsent: deque[Outgoing] = deque()
        self._sent: deque[tuple[float, Outgoing]] = deque()  # with the time when it was acknowledged last

    def add(self, header: Header, payload: bytes) -> None:
        """Number an entry; an incarnation's first is 1."""
        self._sequence += 1
        entry_id = f"{self._incarnation}-{self._sequence}"
        command = ("XADD", self._stream, entry_id, *header.fields(payload))
        self._unsent.append(Outgoing(self._sequence, header, command))

    def unsent(self) -> list[Outgoing]:
        """What is still to be acknowledged, in order."""
        return list(self._unsent)

    def after_reconnect(self) -> list[Outgoing]:
        """What to send after a lost connection, in order: the recently acknowledged, then the rest."""
        return [*(outgoing for _, outgoing in self._sent), *self._unsent]

    def acknowledge(self, now_s: float, *, resent: bool = False) -> list[Outgoing]:
        """All of it has arrived; forget what is old enough to be safe on disk. Returns what has arrived just now.

        What was sent again may have been written again: then it is as young as the rest.
        """
        arrived = self.unsent()
        if resent:
            self._sent = deque((now_s, outgoing) for _, outgoing in self._sent)
        self._sent.extend((now_s, outgoing) for outgoing in arrived)
        self._unsent.clear()
        while self._sent and now_s - self._sent[0][0] > REPLAY_S:
            self._sent.popleft()
        return arrived
