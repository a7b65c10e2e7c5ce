"""The outbox: what an actor has numbered, and what it must be ready to send again.

An entry's id is chosen here, INCARNATION-SEQUENCE. After a lost connection everything sent in the last seconds is sent
again, in order and before anything new: Redis refuses what it has as "equal or smaller", and gets back what a log that
is only synced every second had lost.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...common.process.clock import monotonic_s
from ...common.server.streams import format_id

if TYPE_CHECKING:
    from ...common.server.streams import Argument
    from ...common.wire.trajectory import Header

# appendfsync everysec may lose up to two seconds of acknowledged writes; twice that covers a slow disk.
REPLAY_S = 4.0


EntryId = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An XADD, as often as it takes."""

    entry_id: EntryId
    header: Header
    command: tuple[Argument, ...]


class Outbox:
    """The numbered entries of one incarnation of an actor."""

    def __init__(self, stream: str, incarnation: int) -> None:
        self._stream, self._incarnation = stream, incarnation
        self._sequence = 0
        self._unsent: deque[Outgoing] = deque()
        self._sent: deque[tuple[float, Outgoing]] = deque()  # with the time when it was acknowledged last
        self._arrived: list[Outgoing] = []  # not yet taken
        self.refused: list[EntryId] = []  # by the last `withdraw`

    def begin(self, incarnation: int) -> None:
        """Number what comes from 1 under another incarnation, higher than any before."""
        self._incarnation, self._sequence = incarnation, 0

    def add(self, header: Header, payload: bytes) -> EntryId:
        """Number an entry; an incarnation's first is 1."""
        self._sequence += 1
        entry_id = (self._incarnation, self._sequence)
        self.resume(entry_id, header, payload)
        return entry_id

    def resume(self, entry_id: EntryId, header: Header, payload: bytes) -> None:
        """Take an entry that a process before has numbered; before any of this one's."""
        command = ("XADD", self._stream, format_id(entry_id), *header.fields(payload))
        self._unsent.append(Outgoing(entry_id, header, command))

    def skip(self, count: int) -> None:
        """Leave numbers out for what was dropped: the learner counts the gap."""
        self._sequence += count

    def withdraw(self, refused: list[bool]) -> None:
        """Sort out what was sent: forget what was refused for good, keep the rest as arrived."""
        unsent, self._unsent = self._unsent, deque()
        self.refused = [outgoing.entry_id for outgoing, no in zip(unsent, refused, strict=True) if no]
        self._arrive(monotonic_s(), [outgoing for outgoing, no in zip(unsent, refused, strict=True) if not no])

    def sort_out(self, refused: list[bool]) -> dict[EntryId, EntryId]:
        """After a server that refused some of what was unsent, for want of memory say, and took the rest.

        What it refused before something it took has lost its place in the stream, and is numbered again.

        Returns:
            The new ids by the old ones.
        """
        unsent = list(self._unsent)
        taken = [at for at, no in enumerate(refused) if not no]
        last = taken[-1] if taken else -1
        self._arrive(monotonic_s(), [unsent[at] for at in taken])
        self._unsent = deque(unsent[last + 1 :])
        renumbered: dict[EntryId, EntryId] = {}
        for outgoing, no in zip(unsent[: last + 1], refused[: last + 1], strict=True):
            if no:
                self._sequence += 1
                entry_id = (self._incarnation, self._sequence)
                command = (*outgoing.command[:2], format_id(entry_id), *outgoing.command[3:])
                self._unsent.append(Outgoing(entry_id, outgoing.header, command))
                renumbered[outgoing.entry_id] = entry_id
        return renumbered

    def unsent(self) -> list[Outgoing]:
        """What is still to be acknowledged, in order."""
        return list(self._unsent)

    def after_reconnect(self) -> list[Outgoing]:
        """What to send after a lost connection, in order: the recently acknowledged, then the rest."""
        return [*(outgoing for _, outgoing in self._sent), *self._unsent]

    def acknowledge(self, now_s: float, *, resent: bool = False) -> list[EntryId]:
        """All of it has arrived; forget, and return, what is old enough to be safe on disk.

        What was sent again may have been written again: then it is as young as the rest.
        """
        if resent:
            self._sent = deque((now_s, outgoing) for _, outgoing in self._sent)
        self._arrive(now_s, self.unsent())
        self._unsent.clear()
        safe: list[EntryId] = []
        while self._sent and now_s - self._sent[0][0] > REPLAY_S:
            safe.append(self._sent.popleft()[1].entry_id)
        return safe

    def take_arrived(self) -> list[Outgoing]:
        """What has arrived since the last call, each entry once."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def _arrive(self, now_s: float, outgoing: list[Outgoing]) -> None:
        self._sent.extend((now_s, each) for each in outgoing)
        self._arrived += outgoing
