"""The high-water mark: how many of an actor's entries may stand in its stream, unconsumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...common.spec import RolloutSpec

# An entry of a client has one game; an entry of another actor has fragments of many games. With a mark of two entries,
# which is usual for other actors, the learner would train on two games of a client at a time. Also, these games cannot
# wait.
_CLIENT_ENTRIES = 64
_CLIENT_BYTES = 32 << 20  # of one client's games in Redis at most, if all were as large as its largest one


@dataclass(frozen=True, slots=True)
class HighWater:
    """Two limits for the number of entries in an actor's stream. They differ in lock step only."""

    pause_at: int  # the actor adds no entry while its stream has this many
    # The value in the heartbeat: an actor whose stream has this many entries adds none before the learner's next
    # commit. If all actors have reached it, the learner does not wait for a full batch.
    report_as: int


def actor_high_water(rollout: RolloutSpec) -> HighWater:
    """The mark of an actor whose game can wait.

    In lock step the actor waits for a new version after each entry, and not until that entry is consumed: the learner
    may have made the version from other actors' entries.
    """
    return HighWater(rollout.high_water, rollout.full_at)


def client_high_water(rollout: RolloutSpec, largest: int) -> HighWater:
    """The mark of a client. It is never lower than the run's own.

    Args:
        rollout: the part of the run's spec that has the run's own mark.
        largest: bytes of the client's largest game so far.
    """
    entries = max(rollout.high_water, min(_CLIENT_ENTRIES, _CLIENT_BYTES // max(largest, 1)))
    return HighWater(entries, entries)
