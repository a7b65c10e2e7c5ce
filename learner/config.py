"""What a learner can be told, each concern on its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..common.errors import ConfigError
from .algorithms.ppo import PPOConfig

if TYPE_CHECKING:
    from .algorithms.trainer import AlgorithmConfig
    from .persistence.archive_writer import ArchiveConfig


@dataclass(frozen=True, slots=True)
class IntakeConfig:
    """What goes into a batch."""

    batch_steps: int = 2048  # at least so many, counting the steps that resets swallow
    batch_games: int = 0  # and at least so many ended games
    max_staleness: int = 4  # versions between playing and training
    max_age_s: float = 3600.0  # between playing and training
    accept_imported: bool = (
        False  # take what no version of this run played, with the log-probabilities that its importer gives
    )

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        if self.batch_steps < 1 and self.batch_games < 1:
            raise ConfigError(f"batch_steps: {self.batch_steps}, expected at least 1 (or batch_games of at least 1)")
        if self.max_staleness < 0:
            raise ConfigError(f"max_staleness: {self.max_staleness}, expected at least 0")
        if self.max_age_s <= 0:
            raise ConfigError(f"max_age_s: {self.max_age_s}, expected more than 0")


@dataclass(frozen=True, slots=True)
class Goal:
    """When a learner is done; without any of these it runs until it is told to stop."""

    until_return: float | None = None  # mean of the last 100 games
    max_steps: int | None = None  # of the run, not of this process
    max_seconds: float | None = None  # of this process


@dataclass(frozen=True, slots=True)
class LearnerConfig:
    """Everything about one learner process that actors need not agree with."""

    algorithm: AlgorithmConfig = field(default_factory=PPOConfig)
    intake: IntakeConfig = field(default_factory=IntakeConfig)
    goal: Goal = field(default_factory=Goal)
    lease_ttl_ms: int = 5000  # how long a dead learner's successor waits; a commit must fit into a third of it
    lease_wait_s: float = 10.0  # how long to wait for a predecessor's lease; a standby waits for ever
    checkpoint_dir: str | None = None
    checkpoint_every_s: float = 30.0
    archive: ArchiveConfig | None = None
    init_from: str | None = None  # a file whose policy a new run starts with
