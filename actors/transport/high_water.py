"""The high-water mark: how many of an actor's entries may stand in its stream, unconsumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...common.spec import RolloutSpec

# An entry of a client is one game, where those of other actors are fragments of many games side by side: at a mark of
# two, usual for those, the learner would train on two games at a time. And these games cannot wait anyway.
_CLIENT_ENTRIES = 64
_CLIENT_BYTES = 32 << 20  # of one client's games in Redis, as far as the largest of them tells


@dataclass(frozen=True, slots=True)
class HighWater:
    """Two numbers of entries in an actor's stream, equal but for lock step."""

    pause_at: int  # the actor adds nothing while so many are there
    # What the heartbeat says: with so many there the actor adds nothing before the learner's next commit. If that holds
    # for all actors, the learner does not wait for a full batch.
    report_as: int


def actor_high_water(rollout: RolloutSpec) -> HighWater:
    """For an actor whose game can wait.

    In lock step it need not wait until its one entry is consumed: the learner may have trained on other actors' alone.
    """
    return HighWater(rollout.high_water, rollout.full_at)


def client_high_water(rollout: RolloutSpec, largest: int) -> HighWater:
    """For a client, never less than the run's own.

    Args:
        rollout: the run's.
        largest: bytes of the client's largest game so far.
    """
    entries = max(rollout.high_water, min(_CLIENT_ENTRIES, _CLIENT_BYTES // max(largest, 1)))
    return HighWater(entries, entries)
