"""From command-line options to a run's spec and a learner's configuration."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ..actors.games.registry import describe_game
from ..common.actions import Box
from ..common.errors import ConfigError
from ..common.spec import NetworkSpec, RolloutSpec, RunSpec
from ..learner.algorithms.registry import override, preset
from ..learner.algorithms.reinforce import ReinforceConfig
from ..learner.config import Goal, IntakeConfig, LearnerConfig
from ..learner.persistence.archive_writer import ArchiveConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..common.spec import Activation, StateFit
    from ..learner.algorithms.registry import Algo

BATCH_STEPS = 2048
BATCH_GAMES = 16
LONGEST_GAME = 4096  # steps recorded of one whole game
NOISE_CORRELATION = 0.9  # what is tried lasts some ten steps


def learner_settings(
    *,
    game: str,
    seed: int,
    until_return: float | None,
    max_steps: int | None,
    max_seconds: float | None,
    algo: Algo,
    settings: Sequence[str],
    rate: float | None,
    batch_steps: int | None,
    batch_games: int | None,
    unroll: int | None,
    hidden: str,
    activation: Activation,
    shared: bool,
    normalise: bool | None,
    max_staleness: int,
    max_age: float,
    noise_correlation: float | None,
    lock_step: bool,
    state_fit: StateFit,
    float16: bool,
    accept_declared: bool,
    checkpoint_dir: str | None,
    archive: str | None,
    archive_mb: int,
    init_from: str | None,
    lease_ttl: float,
    standby: bool,
) -> tuple[RunSpec, LearnerConfig]:
    """What `broodmind learner` was asked for; raises ConfigError naming the option that does not fit."""
    described = describe_game(game)
    algorithm = override(preset(algo, described), settings)
    if rate is not None:
        algorithm = replace(algorithm, rate=rate)
    continuous = isinstance(described.actions, Box)
    correlation = NOISE_CORRELATION if noise_correlation is None else noise_correlation
    playing = RolloutSpec(
        lock_step=lock_step,
        float16=float16,
        noise_correlation=correlation if continuous else 0.0,
        state_fit=state_fit,
    )
    if isinstance(algorithm, ReinforceConfig):
        games = batch_games or (0 if batch_steps else BATCH_GAMES)
        # Room for a whole batch from one actor; more would only age.
        rollout = replace(playing, unroll="games", length=unroll or LONGEST_GAME, high_water=max(games, 8))
        intake = IntakeConfig(batch_steps or 0, games, max_staleness, max_age, accept_declared)
    else:
        if batch_games is not None:
            raise ConfigError(f"batch-games: {batch_games} with --algo {algo}, expected --algo reinforce")
        rollout = replace(playing, length=unroll or playing.length)
        intake = IntakeConfig(batch_steps or BATCH_STEPS, 0, max_staleness, max_age, accept_declared)
    # Numbers to act with come from games whose observations are measures too, each on a scale of its own.
    normalise = continuous if normalise is None else normalise
    network = NetworkSpec(_widths(hidden), activation, shared, normalise)
    config = LearnerConfig(
        algorithm=algorithm,
        intake=intake,
        goal=Goal(until_return, max_steps, max_seconds),
        lease_ttl_ms=int(lease_ttl * 1000),
        lease_wait_s=math.inf if standby else 2 * lease_ttl,
        checkpoint_dir=checkpoint_dir,
        archive=ArchiveConfig(archive, archive_mb << 20) if archive else None,
        init_from=init_from,
    )
    return RunSpec(described, network, rollout, seed), config


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError as error:
        raise ConfigError(f"hidden: {text!r}, expected widths such as 64,64") from error
