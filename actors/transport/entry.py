"""One entry on its way to the server, and the states that it goes through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError
from ...common.server.streams import format_id

if TYPE_CHECKING:
    from pathlib import Path

    from ...common.server.streams import Argument, Reply
    from ...common.wire.entry_header import Header

EntryId = tuple[int, int]  # incarnation and sequence number


class State(IntEnum):  # not Enum: hashing an IntEnum's member takes a third of the time
    """The state of an entry. `TRANSITIONS` lists the possible changes."""

    QUEUED = auto()  # waits for room and has no id yet
    NUMBERED = auto()  # has an id; the server does not have it
    SENT = auto()  # was sent, and no answer came: the server may have it
    ACKNOWLEDGED = auto()  # the server has it in memory, and it may not be on the server's disk yet
    DOUBTED = auto()  # was acknowledged, and the connection was lost since: the server may have restarted without it
    SAFE = auto()  # was acknowledged so long ago that a crash of the server cannot undo it; not kept any more
    DROPPED = auto()  # given up: no room for it, or its spool file cannot be read


TRANSITIONS = frozenset(
    {
        (State.QUEUED, State.NUMBERED),
        (State.QUEUED, State.DROPPED),
        (State.NUMBERED, State.SENT),
        (State.SENT, State.ACKNOWLEDGED),
        (State.SENT, State.NUMBERED),  # refused for now: the server was full or busy
        (State.SENT, State.QUEUED),  # taken back: another process uses the actor's name
        (State.SENT, State.DROPPED),  # of an earlier process, and its spool file cannot be read
        (State.ACKNOWLEDGED, State.DOUBTED),
        (State.DOUBTED, State.ACKNOWLEDGED),
        (State.ACKNOWLEDGED, State.SAFE),
    }
)


class Answer(Enum):
    """The meaning of the server's reply to the XADD of one entry."""

    TAKEN = auto()  # added
    EQUAL_OR_SMALLER = auto()  # refused: an entry with this id or a higher one has been added before
    REFUSED = auto()  # refused for another reason: the entry has not been added


def answer_to_xadd(reply: Reply) -> Answer:
    """Classify the reply to the XADD of one entry."""
    if not isinstance(reply, BroodmindError):
        return Answer.TAKEN
    return Answer.EQUAL_OR_SMALLER if "equal or smaller" in str(reply) else Answer.REFUSED


@dataclass(slots=True, eq=False)
class Entry:
    """Finished games, or a fragment of play, encoded: in memory, on disk, or both."""

    size: int  # bytes of its payload
    content: tuple[Header, bytes] | None  # header and payload; None while it is on disk alone
    file: Path | None = None  # in the spool
    queued_as: Path | None = None  # the name that its file had while it was queued
    state: State = State.QUEUED
    entry_id: EntryId | None = None  # from NUMBERED on
    gap: int = 0  # numbers left out directly before its own, one for each dropped entry
    acknowledged_s: float = 0.0  # when it was acknowledged last
    games: int = 0  # that ended in it
    steps: int = 0  # 0 where they are not known: it is of an earlier process
    overflow: int = 0  # games given up before their first step, when it got its id: see `Header.overflow`

    def move(self, state: State) -> None:
        """Go to another state. A step that `TRANSITIONS` does not list is a bug."""
        assert (self.state, state) in TRANSITIONS, f"{self.state.name} -> {state.name}"
        self.state = state

    @property
    def header(self) -> Header:
        """The entry's header. Its content must be in memory."""
        assert self.content is not None
        return self.content[0]

    def command(self, stream: str, clock_offset_ms: int = 0, overflow: int = 0) -> tuple[Argument, ...]:
        """The XADD command. It has no MAXLEN, and an id chosen here, so that the server refuses it a second time.

        Args:
            stream: the actor's.
            clock_offset_ms: the server's clock minus this machine's.
            overflow: games that the actor has given up before their first step.
        """
        assert self.content is not None
        assert self.entry_id is not None
        header, payload = self.content
        return ("XADD", stream, format_id(self.entry_id), *header.stamped(clock_offset_ms, overflow).fields(payload))
