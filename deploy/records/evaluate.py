"""Greedy evaluation of a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...actors.games.registry import evaluation_games, make_game
from ...common.process.seeding import Role, integer_seed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...actors.inference.policy import Policy

_STEPS_MAX = 100_000  # ends the evaluation of a game that never ends


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of a policy over whole games."""

    mean: float  # undiscounted return
    episodes: int
    wins: int | None  # None if the game does not report wins

    def to_json(self) -> dict[str, float | int]:
        """The JSON object for the summary, without `wins` if the game does not report them."""
        wins = {} if self.wins is None else {"wins": self.wins}
        return {"mean": round(self.mean, 3), "episodes": self.episodes, **wins}


def evaluations(
    policy: Policy, game_name: str, episodes: int, seed: int, game_args: Mapping[str, Any] | None = None
) -> dict[str, Evaluation]:
    """One evaluation for each of `evaluation_games`: a two-player game is played against each scripted player."""
    args = game_args or {}
    return {name: evaluate(policy, name, episodes, seed, args) for name in evaluation_games(game_name, args)}


def evaluate(
    policy: Policy, game_name: str, episodes: int, seed: int, game_args: Mapping[str, Any] | None = None
) -> Evaluation:
    """Play `episodes` games with the most probable actions.

    Each copy of the game plays exactly one game. If the first games to finish were taken instead, most would be short.
    """
    game = make_game(game_name, episodes, game_args or {})
    try:
        step = game.reset(integer_seed(seed, Role.EVALUATION))
        returns = np.zeros(episodes)
        wins = np.zeros(episodes, np.bool_)
        playing = np.ones(episodes, np.bool_)
        for _ in range(_STEPS_MAX):
            step = game.step(policy.best(step.observations, step.masks))
            returns[playing] += step.rewards[playing]
            ended = playing & (step.terminated | step.truncated)
            if step.wins is not None:
                wins |= ended & step.wins
            playing &= ~ended
            if not playing.any():
                break
        return Evaluation(float(returns.mean()), episodes, int(wins.sum()) if game.spec.wins else None)
    finally:
        game.close()
