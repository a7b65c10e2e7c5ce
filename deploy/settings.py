"""From command-line options to a run's spec and a learner's configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..actors.games import describe_game
from ..common.errors import ConfigError
from ..common.spec import NetworkSpec, RolloutSpec, RunSpec
from ..learner.config import Goal, IntakeConfig, LearnerConfig
from ..learner.ppo import PPOConfig
from ..learner.reinforce import ReinforceConfig

if TYPE_CHECKING:
    from ..learner.config import AlgorithmConfig

BATCH_STEPS = 2048
BATCH_GAMES = 16
LONGEST_GAME = 4096  # steps recorded of one whole game


def learner_settings(
    *,
    game: str,
    seed: int,
    until_return: float | None,
    max_steps: int | None,
    max_seconds: float | None,
    algo: str,
    rate: float | None,
    batch_steps: int | None,
    batch_games: int | None,
    unroll: int | None,
    hidden: str,
    max_staleness: int,
    max_age: float,
    lock_step: bool,
    float16: bool,
    checkpoint_dir: str | None,
    lease_ttl: float,
) -> tuple[RunSpec, LearnerConfig]:
    """What `broodmind learner` was asked for; raises ConfigError naming the option that does not fit."""
    if algo == "ppo":
        if batch_games is not None:
            raise ConfigError(f"batch-games: {batch_games} with --algo ppo, expected --algo reinforce or --batch-steps")
        algorithm: AlgorithmConfig = PPOConfig()
        rollout = RolloutSpec("steps", unroll or RolloutSpec().length, lock_step=lock_step, float16=float16)
        intake = IntakeConfig(batch_steps or BATCH_STEPS, 0, max_staleness, max_age)
    else:
        algorithm = ReinforceConfig()
        games = batch_games or (0 if batch_steps else BATCH_GAMES)
        # Room for a whole batch from one actor; more would only age.
        rollout = RolloutSpec("games", unroll or LONGEST_GAME, max(games, 8), lock_step=lock_step, float16=float16)
        intake = IntakeConfig(batch_steps or 0, games, max_staleness, max_age)
    if rate is not None:
        algorithm = replace(algorithm, rate=rate)
    spec = RunSpec(describe_game(game), NetworkSpec(hidden=_widths(hidden)), rollout, seed)
    config = LearnerConfig(
        algorithm=algorithm,
        intake=intake,
        goal=Goal(until_return, max_steps, max_seconds),
        lease_ttl_ms=int(lease_ttl * 1000),
        lease_wait_s=2 * lease_ttl,
        checkpoint_dir=checkpoint_dir,
    )
    return spec, config


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError as error:
        raise ConfigError(f"hidden: {text!r}, expected widths such as 64,64") from error
