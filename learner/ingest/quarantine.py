"""Which pending entries may be what killed the learners that had them in hand.

A trajectory that ends the process itself, by a crash in native code or for want of memory, would be read again by every
successor, for ever. So what has been delivered often is processed by itself, under a consumer of its own name; and what
is found under that name after a death has had its proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...common import deprecated
from ...common.server.keys import SOLO_CONSUMER
from ...common.server.streams import parse_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...common.server.streams import Reply
    from ..ledger.stream_entry import EntryId

# A learner is killed or loses its connection for many reasons; an entry processed by itself costs a batch, no more.
DELIVERIES = 3
_SOLO = (SOLO_CONSUMER.encode(), deprecated.SOLO_CONSUMER)


@dataclass(frozen=True, slots=True)
class PoisonCandidate:
    """A pending entry to be processed by itself, or to be set aside."""

    actor: str
    id: EntryId
    poison: bool


def poison_candidates(actor: str, pending: Sequence[Reply], *, after_death: bool) -> list[PoisonCandidate]:
    """The poison candidates of a stream, in order, from what XPENDING says: id, consumer, idle time, deliveries.

    Entries of a stream are consumed in order, so what stands before a candidate is processed by itself too.

    Args:
        actor: whose stream it is.
        pending: all of it, in order.
        after_death: whether whoever read them is dead, and has not merely lost its connection.
    """
    last = max(
        (number for number, (_, who, _, times) in enumerate(pending) if who in _SOLO or times >= DELIVERIES),
        default=-1,
    )
    return [
        PoisonCandidate(actor, parse_id(raw_id), after_death and who in _SOLO)
        for raw_id, who, _, _ in pending[: last + 1]
    ]
