"""Overflow: a client that is ahead of the learner gives up games before their first step.

Its game cannot wait. What it cannot send soon would be stale when its turn comes, and what is dropped once it is over
would leave other games in the figures than were played: the short ones end first. Before the first step nobody knows
how a game will go, so those that are left are a fair sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...common.wire.demand import UNSENT_SHARE

if TYPE_CHECKING:
    from ...common.wire.demand import Demand

# As UNSENT_SHARE, for games that are not in an entry yet. They are soon, unless the game takes all of the process's
# time; with a quarter the learner trained on a third less of such a game.
_PART_UNENCODED = 0.5
_MUCH = 0.05  # of the games: who gives up more is told what to change

REASON = "given up before its first step: the learner cannot keep up"


@dataclass(frozen=True, slots=True)
class Unsent:
    """The finished games of a client that Redis has not acknowledged."""

    games: int
    steps: int
    payload_bytes: int


NOTHING = Unsent(0, 0, 0)


def is_ahead(unsent: Unsent, unencoded: Unsent, demand: Demand | None) -> bool:
    """Whether the next game is given up: so much waits to be sent that the learner will not get to it soon.

    Args:
        unsent: what waits in entries.
        unencoded: what is in no entry yet.
        demand: the learner's; None where it is not known.
    """
    return demand is not None and (
        _is_much(unsent, demand, UNSENT_SHARE) or _is_much(unencoded, demand, _PART_UNENCODED)
    )


def _is_much(waiting: Unsent, demand: Demand, part: float) -> bool:
    if not waiting.games:
        return False
    if waiting.payload_bytes >= demand.payload_bytes:
        return True
    return waiting.steps >= part * demand.steps and waiting.games >= part * demand.games


def hint(overflow: int, recorded: int) -> str:
    """What to change, where much is given up; empty otherwise.

    Args:
        overflow: games given up.
        recorded: games that were not.
    """
    if overflow <= _MUCH * (overflow + recorded):
        return ""
    share = overflow / (overflow + recorded)
    return (
        f"{share:.0%} of the games were given up before their first step, as the learner cannot keep up: use a larger "
        "batch (--batch-steps), a faster learner (fewer epochs, a smaller network), or play fewer games"
    )
