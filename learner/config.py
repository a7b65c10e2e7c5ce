"""Settings of the learner alone: intake, goal, lease, checkpoints, archive."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ..common.errors import ConfigError
from ..common.setting import Setting, check_settings
from .algorithms.ppo.config import PPOConfig

if TYPE_CHECKING:
    from .algorithms.registry import AlgorithmConfig

_SEGMENT_BYTES = 64 << 20
_SEGMENTS_LEAST = 8  # segments in a full archive, so that deleting the oldest one frees only a small part of it


@dataclass(frozen=True, slots=True)
class IntakeConfig:
    """When a batch is complete, and which entries are rejected."""

    batch_steps: Annotated[
        int,
        Setting(
            "Train as soon as so many steps have come, counting those that resets swallow.",
            ge=0,
            auto="2048, reinforce 0; broodmind up: one fragment of each game",
        ),
    ] = 2048
    batch_games: Annotated[
        int,
        Setting("Train as soon as so many whole episodes have come; for reinforce.", ge=0, auto="reinforce 16, else 0"),
    ] = 0
    max_staleness: Annotated[
        int, Setting("Reject what was played more than so many versions ago.", ge=0, unit="versions")
    ] = 4
    max_age: Annotated[float, Setting("Reject what was played longer ago than that.", gt=0, unit="seconds")] = 3600.0
    accept_imported: Annotated[bool, Setting("Take imported episodes too, which no version of the run played.")] = False

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)
        if self.batch_steps < 1 and self.batch_games < 1:
            raise ConfigError(f"batch_steps: {self.batch_steps}, expected at least 1 (or batch_games of at least 1)")


@dataclass(frozen=True, slots=True)
class Goal:
    """The goals at which a learner stops. Without any of these it runs until it is stopped."""

    until_return: Annotated[float | None, Setting("Stop when the last 100 episodes reach this mean return.")] = None
    max_steps: Annotated[int | None, Setting("Stop when the run has trained on so many steps.", ge=1)] = None
    max_seconds: Annotated[
        float | None, Setting("Stop when this process has run for so long.", gt=0, unit="seconds")
    ] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class LeaseConfig:
    """The lease by which a run has one learner at a time."""

    # The lease is renewed every third of this time, so a commit must take less than a third.
    lease_ttl: Annotated[
        float, Setting("How long the successor of a dead learner waits at most.", ge=0.2, unit="seconds")
    ] = 5.0
    lease_wait: Annotated[
        float | None,
        Setting(
            "How long to wait for the lease of another learner.",
            ge=0,
            unit="seconds",
            auto="twice lease_ttl; with standby, without limit",
        ),
    ] = None
    standby: Annotated[bool, Setting("Wait for another learner's end, as long as it takes.")] = False

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)

    @property
    def ttl_ms(self) -> int:
        """The lease's time to live, in milliseconds for Redis."""
        return int(self.lease_ttl * 1000)

    @property
    def wait_s(self) -> float:
        """The longest time to wait for another learner's lease; infinite for a standby."""
        if self.standby:
            return math.inf
        return 2 * self.lease_ttl if self.lease_wait is None else self.lease_wait


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """Checkpoints, and the file from which a new run starts."""

    checkpoint_dir: Annotated[
        Path | None, Setting("Folder for the last versions as files.", auto="none; broodmind up: OUT/checkpoints")
    ] = None
    checkpoint_every: Annotated[
        float, Setting("Time between two checkpoints; 0: at each commit.", ge=0, unit="seconds")
    ] = 30.0
    init_from: Annotated[Path | None, Setting("A model or checkpoint whose policy a new run starts with.")] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """The archive: a copy of the consumed entries, as files."""

    archive: Annotated[Path | None, Setting("Folder for what is consumed.")] = None
    archive_mb: Annotated[
        float,
        Setting("Maximum size of the archive; the oldest files are deleted first.", gt=0, unit="MB of 2^20 bytes"),
    ] = 1024.0

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)

    @property
    def max_bytes(self) -> int:
        """The maximum size of all finished segments together."""
        return int(self.archive_mb * (1 << 20))

    @property
    def segment_bytes(self) -> int:
        """The size at which a segment is finished."""
        return min(_SEGMENT_BYTES, self.max_bytes // _SEGMENTS_LEAST)


@dataclass(frozen=True, slots=True)
class LearnerConfig:
    """The configuration of one learner process: all settings that are not part of the run's spec."""

    algorithm: AlgorithmConfig = field(default_factory=PPOConfig)
    intake: IntakeConfig = field(default_factory=IntakeConfig)
    goal: Goal = field(default_factory=Goal)
    lease: LeaseConfig = field(default_factory=LeaseConfig)
    checkpointing: CheckpointConfig = field(default_factory=CheckpointConfig)
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    record: str = field(default="", repr=False)  # the whole configuration as JSON, to be stored with the run
