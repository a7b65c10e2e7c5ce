"""The reward: +1 for a win, -1 for a loss, plus the change of a potential between two actions.

Potential-based shaping does not change which policy is best (Ng, Harada and Russell, 1999). The changes sum up to the
difference of the last and the first potential; after the end the potential is 0, so a finished game's return is its
result minus its first potential.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .features import GameState

Result = Literal["win", "loss", "tie"]

_RESULT_REWARDS: dict[Result, float] = {"win": 1.0, "loss": -1.0, "tie": 0.0}
_SUPPLY, _LEAD = 0.3, 0.2
_SUPPLY_MAX = 200.0


def potential(state: GameState) -> float:
    """The value of a state, in [-0.2, 0.5]: a weighted sum of the used supply and the lead in army."""
    lead = (state.own_army_hp - state.enemy_army_hp) / (state.own_army_hp + state.enemy_army_hp + 1.0)
    return _SUPPLY * min(state.supply_used / _SUPPLY_MAX, 1.0) + _LEAD * lead


class Rewards:
    """Computes the reward of each action when it is known: at the next action or at the end of the game."""

    def __init__(self) -> None:
        self._before: float | None = None

    def since_last(self, state: GameState) -> float:
        """The reward of the previous action, at the `state` of the next one; 0 at the first action."""
        now = potential(state)
        gained = 0.0 if self._before is None else now - self._before
        self._before = now
        return gained

    def at_end(self, result: Result) -> float:
        """The reward of the last action of a game with a result. For a truncated game call `since_last` instead."""
        return _RESULT_REWARDS[result] - (self._before or 0.0)
