"""Poison candidates: pending entries that may have killed earlier learners, to be processed one at a time.

A trajectory that kills the process, by a crash in native code or for lack of memory, would be read again by every
successor and kill it too. So an entry that was delivered several times is processed alone, under the consumer name
`solo`. If a learner dies and an entry is pending under that name, this entry killed it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from ...common import deprecated
from ...common.process.log import Log
from ...common.server.keys import CONSUMER, GROUP, SOLO_CONSUMER
from ...common.server.streams import Script, format_id, parse_id
from ..commit.lease import fenced
from .entry_decoder import ENTRY_BYTES_MAX, SHOWN_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...common.server.keys import Keys
    from ...common.server.streams import Reply, Server
    from ..commit.lease import Lease
    from ..ledger.stream_entry import EntryId

_CLAIM = Script(files(__package__).joinpath("claim.lua").read_text())
_log = Log("ingest")

# An entry is a candidate after so many deliveries. Most learners die for other reasons, but to process an entry alone
# without need costs no more than one small batch.
DELIVERIES = 3
_SOLO = (SOLO_CONSUMER.encode(), deprecated.SOLO_CONSUMER)


@dataclass(frozen=True, slots=True)
class PoisonCandidate:
    """A pending entry to be processed alone, or to be rejected as poison."""

    actor: str
    id: EntryId
    poison: bool


def poison_candidates(actor: str, pending: Sequence[Reply], *, after_death: bool) -> list[PoisonCandidate]:
    """The poison candidates of a stream, in order.

    Entries of a stream are consumed in order, so the entries before a candidate are processed alone too.

    Args:
        actor: the actor whose stream it is.
        pending: all pending entries in order, as XPENDING gives them: id, consumer, idle time, deliveries.
        after_death: whether the learner that read them is dead, and has not merely lost its connection.
    """
    last = max(
        (number for number, (_, who, _, times) in enumerate(pending) if who in _SOLO or times >= DELIVERIES),
        default=-1,
    )
    return [
        PoisonCandidate(actor, parse_id(raw_id), after_death and who in _SOLO)
        for raw_id, who, _, _ in pending[: last + 1]
    ]


class Quarantine:
    """The poison candidates of a run. They are read before all other entries, each after the previous one's commit."""

    def __init__(self, server: Server, keys: Keys, lease: Lease, *, after_death: bool) -> None:
        """Args: after_death: see `poison_candidates`."""
        self._server, self._keys, self._lease, self._after_death = server, keys, lease, after_death
        self._candidates: deque[PoisonCandidate] = deque()
        self.in_hand = False  # whether the first candidate was claimed and is not known to be committed

    @property
    def empty(self) -> bool:
        """Whether no candidate is left."""
        return not self._candidates

    def examine(self, actor: str, pending: Sequence[Reply]) -> None:
        """Add the candidates among an actor's pending entries, given as XPENDING gives them."""
        self._candidates.extend(poison_candidates(actor, pending, after_death=self._after_death))

    def awaits_commit(self) -> bool:
        """Whether the candidate in hand is still pending, so that nothing may be read yet."""
        if not self.in_hand:
            return False
        first = self._candidates[0]
        entry_id = format_id(first.id)
        return bool(self._server.call("XPENDING", self._keys.trajectories(first.actor), GROUP, entry_id, entry_id, 1))

    def claim_next(self) -> tuple[PoisonCandidate, list[bytes], int] | None:
        """Claim the first candidate under the second consumer's name.

        Returns:
            The candidate, its entry's fields, and the entry's bytes where it is too large, else 0; its fields are cut
            short then. None if the first candidate needs no more processing: it was
            committed, or is not in its stream any more.
        """
        first = self._candidates[0]
        claimed = [] if self.in_hand else self._claim(first, SOLO_CONSUMER)
        self.in_hand = bool(claimed)
        if not claimed:
            self._candidates.popleft()
            return None
        _, raw_fields, size = claimed
        _log.warning("entry delivered several times, processed alone", actor=first.actor, id=format_id(first.id))
        return first, raw_fields, size

    def clear(self) -> None:
        """Forget all candidates; the streams are joined again."""
        self._candidates.clear()
        self.in_hand = False

    def give_back(self) -> None:
        """Return the candidate in hand to the main consumer, so that it is not taken for poison.

        A learner that ends normally calls this: the candidate has not killed it.
        """
        if self.in_hand:
            self._claim(self._candidates[0], CONSUMER)

    def _claim(self, candidate: PoisonCandidate, consumer: str) -> list[Reply]:
        keys = [self._keys.lease, self._keys.trajectories(candidate.actor)]
        holder, limits = (self._lease.token, self._lease.ttl_ms), (ENTRY_BYTES_MAX, SHOWN_BYTES)
        claimed: list[Reply] = fenced(
            self._server, _CLAIM, keys, *holder, GROUP, consumer, format_id(candidate.id), *limits
        )
        return claimed
