"""Evaluation of a policy over whole games: returns with their mean, deviation and confidence interval."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from ...actors.games.checks.arguments import NO_ARGS
from ...actors.games.observation_fit import fitted_game
from ...actors.games.registry import evaluation_games, make_game
from ...actors.inference.exploration_noise import make_noise
from ...common.process.seeding import Role, generator, integer_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ...actors.games.vector_game import VectorGame
    from ...actors.inference.policy import Policy
    from ...common.policy.network import Floats

MAX_EPISODE_STEPS = 100_000  # ends the evaluation of a game that never ends
COPIES = 32
_CONFIDENCE = 0.95
# Student's t for few degrees of freedom, where the expansion below is not exact to three digits.
_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a policy is evaluated."""

    episodes: int
    seed: int = 0
    index: tuple[int, ...] = ()  # evaluations with other indices play other games
    sample: bool = False  # draw actions as in training, instead of taking the most probable ones
    copies: int = COPIES  # of the game, played side by side
    max_episode_steps: int = MAX_EPISODE_STEPS


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of a policy over whole games."""

    returns: Floats = field(repr=False)  # [N], undiscounted
    lengths: NDArray[np.int64] = field(repr=False)  # [N], steps
    wins: int | None = None  # None if the game does not report wins
    cut_off: int = 0  # games that did not end within the limit of steps; they count with what they had by then

    @property
    def episodes(self) -> int:
        """The number of games."""
        return len(self.returns)

    @property
    def mean(self) -> float:
        """The mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """The standard deviation of the returns, with N - 1 in its denominator; 0 with a single game."""
        return float(self.returns.std(ddof=1)) if self.episodes > 1 else 0.0

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the mean, by Student's t; None with a single game."""
        if self.episodes < 2:
            return None
        half = student_t(self.episodes - 1) * self.std / math.sqrt(self.episodes)
        return self.mean - half, self.mean + half

    @property
    def not_finite(self) -> int:
        """The number of games whose return is not a number, because the game gave such a reward."""
        return int((~np.isfinite(self.returns)).sum())

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the results. Without `wins` if the game reports none; no number in it is NaN."""
        return {
            "mean": _finite(self.mean),
            "std": _finite(self.std),
            "ci95": None if self.interval is None else [_finite(each) for each in self.interval],
            "episodes": self.episodes,
            "length_mean": _finite(float(self.lengths.mean())),
            **({} if self.wins is None else {"wins": self.wins}),
            **({"cut_off": self.cut_off} if self.cut_off else {}),
            **({"not_finite": not_finite} if (not_finite := self.not_finite) else {}),
        }


def exploration_cost(greedy: Evaluation, sampled: Evaluation) -> dict[str, Any]:
    """What the drawing of actions costs a policy: how much more it gains greedily, as a JSON object.

    Args:
        greedy: its greedy games.
        sampled: its games with actions drawn as in training. Of the same version; otherwise what was learnt between the
            two would be part of the difference.

    Returns:
        `mean`, the difference of the mean returns, and `ci95`, its 95 % confidence interval by Welch's t; None where
        one of them has a single game, and both None where a return is not finite.
    """
    mean = greedy.mean - sampled.mean
    if min(greedy.episodes, sampled.episodes) < 2 or not math.isfinite(mean):
        return {"mean": _finite(mean), "ci95": None}
    parts = [each.std**2 / each.episodes for each in (greedy, sampled)]
    squares = [part**2 / (each.episodes - 1) for part, each in zip(parts, (greedy, sampled), strict=True)]
    # Welch and Satterthwaite; rounded down. Where no return differs from the others, nothing is uncertain.
    degrees = int(sum(parts) ** 2 / sum(squares)) if sum(squares) > 0 else 1
    half = student_t(degrees) * math.sqrt(sum(parts))
    return {"mean": _finite(mean), "ci95": [_finite(mean - half), _finite(mean + half)]}


def evaluations(
    policy: Policy,
    game_name: str,
    plan: Plan,
    game_args: Mapping[str, Any] = NO_ARGS,
    between_steps: Callable[[], None] = lambda: None,
) -> dict[str, Evaluation]:
    """One evaluation for each of `evaluation_games`: a two-player game is played against each scripted player."""
    return {
        name: evaluate(policy, name, plan, game_args, between_steps) for name in evaluation_games(game_name, game_args)
    }


def evaluate(
    policy: Policy,
    game_name: str,
    plan: Plan,
    game_args: Mapping[str, Any] = NO_ARGS,
    between_steps: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Play whole games with one policy.

    Args:
        policy: what plays.
        game_name: in a form that `make_game` accepts.
        plan: how many games, and how.
        game_args: the game's arguments.
        between_steps: called after each step of all copies. An error that it raises ends the evaluation.

    Raises:
        ConfigError: if there is no such game. SpecMismatch: if it is not the policy's.
    """
    game = make_game(game_name, min(plan.episodes, plan.copies), game_args, masked=policy.spec.game.masked)
    try:
        game = fitted_game(game, policy.spec)
        policy.spec.check_game(game.spec)
        return play(policy, game, plan, between_steps)
    finally:
        game.close()


def play(policy: Policy, game: VectorGame, plan: Plan, between_steps: Callable[[], None] = lambda: None) -> Evaluation:
    """Play whole games. Each copy plays a number of games that is fixed before.

    If the first games to finish were taken instead, most of them would be short. A copy whose game does not end within
    `max_episode_steps` plays no further one.
    """
    copies = game.num_envs
    quota = np.full(copies, plan.episodes // copies) + (np.arange(copies) < plan.episodes % copies)
    rng, noise = generator(plan.seed, Role.EVALUATION, *plan.index, 0), make_noise(policy.spec.rollout)
    step = game.reset(integer_seed(plan.seed, Role.EVALUATION, *plan.index))
    returns: list[float] = []
    lengths: list[int] = []
    wins = cut_off = 0
    gained, length = np.zeros(copies), np.zeros(copies, np.int64)
    starting = np.zeros(copies, np.bool_)  # the next step only resets these
    while quota.any():
        if plan.sample:
            actions, _ = policy.act(step.observations, step.masks, rng, noise)
        else:
            actions = policy.best(step.observations, step.masks)
        step = game.step(actions)
        if noise is not None:
            noise.restart(starting)
        playing = (quota > 0) & ~starting
        gained[playing] += step.rewards[playing]
        length[playing] += 1
        over = step.terminated | step.truncated
        endless = playing & ~over & (length >= plan.max_episode_steps)
        finished = (playing & over) | endless
        returns += gained[finished].tolist()
        lengths += length[finished].tolist()
        wins += 0 if step.wins is None else int((step.wins & playing & over).sum())
        cut_off += int(endless.sum())
        quota[playing & over] -= 1
        quota[endless] = 0
        gained[finished] = length[finished] = 0
        starting = over
        between_steps()
    return Evaluation(np.array(returns), np.array(lengths, np.int64), wins if game.spec.wins else None, cut_off)


def student_t(degrees: int) -> float:
    """The 97.5 % quantile of Student's t distribution (Abramowitz and Stegun 26.7.5), to three digits."""
    if degrees in _T:
        return _T[degrees]
    z, v = NormalDist().inv_cdf(0.5 + _CONFIDENCE / 2), degrees
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def _finite(number: float) -> float | None:
    return round(number, 3) if math.isfinite(number) else None
