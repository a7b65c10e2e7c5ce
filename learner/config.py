"""Settings of the learner alone: intake, goal, lease, checkpoints, archive, collapse of the return."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from ..common.errors import ConfigError
from ..common.server.keys import check_name
from ..common.setting import Setting, check_settings
from .algorithms.ppo.config import PPOConfig

if TYPE_CHECKING:
    from .algorithms.registry import AlgorithmConfig

OnCollapse = Literal["restore", "warn", "off"]

_NUMBERED = re.compile(r"-\d{3}$")  # what `broodmind actors --name` appends for each of its processes
_SEGMENT_BYTES = 64 << 20
_SEGMENTS_LEAST = 8  # segments in a full archive, so that deleting the oldest one frees only a small part of it


@dataclass(frozen=True, slots=True)
class IntakeConfig:
    """Batches, and which trajectories are rejected."""

    batch_steps: Annotated[
        int,
        Setting(
            "Train when this many steps have arrived. Steps in which a game was only reset count too. Independent of "
            "the number of actors, each of which may send its share of two batches in advance.",
            ge=0,
            auto="2048 (reinforce 0)",
            command_defaults=(("up", "2048 (reinforce 0); with lock_step: one fragment of each game"),),
        ),
    ] = 2048
    batch_games: Annotated[
        int,
        Setting(
            "Train when this many whole episodes have arrived. Only for reinforce. With fewer than 16 the default of "
            "learning_rate is less, by the root of their share: 0.00075 with 1, where each game is an update.",
            ge=0,
            auto="0 (reinforce 16)",
        ),
    ] = 0
    max_staleness: Annotated[
        int | None,
        Setting(
            "Do not train on steps that were played more than so many versions (each update publishes one) ago.",
            ge=0,
            unit="versions",
            auto="4 more than pass during a game, at most 64",
        ),
    ] = None
    max_age: Annotated[
        float,
        Setting("Reject play that ended longer ago than that, by the server's clock.", gt=0, unit="seconds"),
    ] = 3600.0
    batch_wait: Annotated[
        float | None,
        Setting(
            "Train on an incomplete batch after waiting this long for the rest of it, or once all actors have left.",
            gt=0,
            unit="seconds",
            auto="half of max_age",
        ),
    ] = None
    max_unconsumed_mb: Annotated[
        float,
        Setting(
            "Maximum size of all trajectories on the server that were not trained on yet. The actors share it equally.",
            gt=0,
            unit="MB of 2^20 bytes",
        ),
    ] = 256.0
    accept_imported: Annotated[
        bool, Setting("Also train on imported episodes, which were not played by a version of this run.")
    ] = False
    eval_share: Annotated[
        float,
        Setting(
            "Share of each client's games that evaluate a version: they are played greedily, and not trained on.",
            ge=0,
            lt=1,
            command_defaults=(("up", "0; with client 0.1"),),
        ),
    ] = 0.0
    admit: Annotated[
        str | None,
        Setting(
            "Read only actors of these names, with commas between; box1 stands for box1-000 and its like too.",
            auto="any name",
        ),
    ] = None
    wait_for_actors: Annotated[
        int,
        Setting(
            "Begin only once so many actors are there, so that none of them misses the first batches. With lock_step "
            "and as many actors as a batch has trajectories from, a seed reproduces the run in whatever order they "
            "come.",
            ge=0,
            command_defaults=(("up", "0; with lock_step all of its actors"),),
        ),
    ] = 0
    trim_unread: Annotated[
        bool,
        Setting(
            "Delete streams of the run that nobody reads, with all that is in them: those whose actor has neither a "
            "heartbeat nor an incarnation, and, with admit, those of all actors that it does not list. Without this "
            "they are only counted and named (status)."
        ),
    ] = False

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)
        for name in self._admitted:
            check_name("admit", name)
        if self.batch_steps < 1 and self.batch_games < 1:
            raise ConfigError(f"batch_steps: {self.batch_steps}, expected at least 1 (or batch_games of at least 1)")

    @property
    def wait_s(self) -> float:
        """How long an incomplete batch waits."""
        return self.max_age / 2 if self.batch_wait is None else self.batch_wait

    @property
    def max_unconsumed_bytes(self) -> int:
        """The payloads that may be unconsumed together."""
        return int(self.max_unconsumed_mb * (1 << 20))

    def admits(self, actor: str) -> bool:
        """Whether an actor of this name may be read: one that is listed, or that a listed supervisor has numbered."""
        return self.admit is None or not self._admitted.isdisjoint((actor, _NUMBERED.sub("", actor)))

    @property
    def _admitted(self) -> frozenset[str]:
        return frozenset() if self.admit is None else frozenset(name.strip() for name in self.admit.split(","))


@dataclass(frozen=True, slots=True)
class Goal:
    """The learner's goal; without one it runs until it is stopped."""

    until_return: Annotated[
        float | None,
        Setting("Stop when the mean return of the last 100 episodes, in the order in which they began, reaches this."),
    ] = None
    max_steps: Annotated[int | None, Setting("Stop when the run has trained on this many steps.", ge=1)] = None
    max_seconds: Annotated[
        float | None, Setting("Stop when the learner process has run for this long.", gt=0, unit="seconds")
    ] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class LeaseConfig:
    """The lease, which ensures that a run has one learner at a time."""

    lease_ttl: Annotated[
        float,
        Setting(
            "Time to live of the lease. If a learner dies, another one can take over after this time at the latest. "
            "A commit must take less than a third of it.",
            ge=0.2,
            unit="seconds",
        ),
    ] = 5.0
    lease_wait: Annotated[
        float | None,
        Setting(
            "How long a learner waits at its start while another learner holds the lease. Then it ends with an error.",
            ge=0,
            unit="seconds",
            auto="twice lease_ttl; with standby no limit",
        ),
    ] = None
    standby: Annotated[
        bool, Setting("Wait without a limit until the other learner of the run ends, and then take over.")
    ] = False

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
    """Checkpoints, and what a new run starts from."""

    checkpoint_dir: Annotated[
        Path | None,
        Setting("Folder for checkpoint files of the last versions.", auto="none; with out OUT/checkpoints"),
    ] = None
    checkpoint_every: Annotated[
        float, Setting("Time between two checkpoints; 0: a checkpoint at each commit.", ge=0, unit="seconds")
    ] = 30.0
    checkpoints_kept: Annotated[int, Setting("How many of the last checkpoints are kept.", ge=1)] = 3
    init_from: Annotated[
        Path | None,
        Setting(
            "What a new run starts with: a model of the original bot, an export, a checkpoint, or a run's folder with "
            "its best version."
        ),
    ] = None
    reset_moments: Annotated[
        bool,
        Setting(
            "Once, at the start: let the next batch replace the moments of observations and of value targets, where "
            "bad numbers have ruined them. Everything else of the run goes on."
        ),
    ] = False

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """The archive: files with a copy of all consumed trajectories."""

    archive: Annotated[Path | None, Setting("Folder for the archive.")] = None
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
class CollapseConfig:
    """What is done where the return collapses."""

    on_collapse: Annotated[
        OnCollapse | None,
        Setting(
            "Where the mean return has lost half of what was gained, over two blocks of at least 100 games: restore: "
            "go back to the best state, with half the learning rate; warn: say so; off: do not look.",
            auto="restore; in self-play off",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)

    @property
    def answer(self) -> OnCollapse:
        """What is done."""
        return self.on_collapse or "restore"


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals of the learner's own work. They are not settings, because no user needs other values; tests do."""

    reconnect_s: tuple[float, float] = (0.1, 5.0)  # first and longest wait between attempts after a lost connection
    strike_off_s: float = 10.0  # between two searches for actors that are silent
    gauges_s: float = 0.1  # between two writes of percentiles and means, which take longer than counters


@dataclass(frozen=True, slots=True)
class LearnerConfig:
    """The configuration of one learner process: all its settings that are not part of the run's spec."""

    algorithm: AlgorithmConfig = field(default_factory=PPOConfig)
    intake: IntakeConfig = field(default_factory=IntakeConfig)
    goal: Goal = field(default_factory=Goal)
    lease: LeaseConfig = field(default_factory=LeaseConfig)
    checkpointing: CheckpointConfig = field(default_factory=CheckpointConfig)
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    collapse: CollapseConfig = field(default_factory=CollapseConfig)
    intervals: Intervals = field(default_factory=Intervals)
    record: str = field(default="", repr=False)  # the whole configuration as JSON, to be stored with the run
