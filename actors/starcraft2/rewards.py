"""The reward: +1 for a win, -1 for a loss, and the change of a potential in between.

Shaping by a potential changes no policy's worth against another's (Ng, Harada and Russell, 1999): it telescopes, and
as the potential after the end is 0, a finished game's return is its result less the potential it began with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .features import Seen

Result = Literal["win", "loss", "tie"]

_WORTH: dict[Result, float] = {"win": 1.0, "loss": -1.0, "tie": 0.0}
_SUPPLY, _LEAD = 0.3, 0.2
_SUPPLY_MAX = 200.0


def potential(seen: Seen) -> float:
    """How well we stand: the supply in use, and the lead in army. In [-0.2, 0.5]."""
    lead = (seen.own_army_hp - seen.enemy_army_hp) / (seen.own_army_hp + seen.enemy_army_hp + 1.0)
    return _SUPPLY * min(seen.supply_used / _SUPPLY_MAX, 1.0) + _LEAD * lead


class Rewards:
    """Gives each decision's reward once it is known: what came of it until the next one, or until the end."""

    def __init__(self) -> None:
        self._before: float | None = None

    def since_last(self, seen: Seen) -> float:
        """The reward of the decision before this one; 0 before the first, which nothing has earned."""
        now = potential(seen)
        gained = 0.0 if self._before is None else now - self._before
        self._before = now
        return gained

    def at_end(self, result: Result) -> float:
        """The reward of the last decision. A game that is cut off has no such end: for it, one more `since_last`."""
        return _WORTH[result] - (self._before or 0.0)
