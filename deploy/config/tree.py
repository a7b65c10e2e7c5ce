"""The tree of all settings, by group. Every other form of a setting is made from it.

A setting is one field of one group. Its name is the same everywhere: `max_staleness` is `--max-staleness` on a command
line, `max_staleness` in the table `[intake]` of a file, and `BROODMIND_MAX_STALENESS` in the environment.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from ...actors.config import ActorsConfig, ServeConfig, StarCraft2Config, SupervisionConfig
from ...common.setting import Setting, check_settings, settings_of
from ...common.spec import NetworkSpec, RolloutSpec
from ...learner.algorithms import registry
from ...learner.config import ArchiveConfig, CheckpointConfig, CollapseConfig, Goal, IntakeConfig, LeaseConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...common.setting import SettingField

DEFAULT_URL = "redis://127.0.0.1:6379"
ALGORITHM = "algorithm"  # the group whose class depends on the setting `algo`


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """The Redis or Valkey server."""

    redis: Annotated[
        str | None,
        Setting(
            "URL of the server: redis://, rediss:// (TLS; rediss://HOST:PORT?ssl_ca_certs=FILE trusts the authority in "
            "a file) or unix://.",
            auto=DEFAULT_URL,
            command_defaults=(("up", "an embedded server"),),
            holds_secret=True,
        ),
    ] = field(default=None, repr=False)
    redis_password: Annotated[
        str | None,
        Setting("Password for the server, if the URL has none. It cannot be given on the command line.", secret=True),
    ] = field(default=None, repr=False)
    redis_password_file: Annotated[
        Path | None, Setting("File whose first line is the password for the server, if the URL has none.")
    ] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class RecordConfig:
    """The run's record."""

    out: Annotated[
        Path | None,
        Setting(
            "Folder for the run's record: metrics, curve, checkpoints, logs. The same folder continues the run.",
            command_defaults=(("up", "runs/RUN-TIME"),),
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """Settings of `broodmind up` alone."""

    client: Annotated[
        bool,
        Setting(
            "Start no actors: bots that own their loop play, any number, by the line with connect() that is printed. "
            "Without game or game_spec, it is the game that the first bot connects with."
        ),
    ] = False
    listen: Annotated[
        str | None,
        Setting(
            "With client: HOST:PORT at which bots of other machines reach the embedded server too. Port 0: any free "
            "port. Where others than this machine can reach it, it has a password, in a file in the run's folder."
        ),
    ] = None

    eval_episodes: Annotated[int, Setting("Number of episodes in the evaluation after the training.", ge=1)] = 100

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """Evaluation while training, which chooses the best version."""

    eval_every: Annotated[
        int | None,
        Setting(
            "Evaluate whenever the run has trained on this many steps more; 0: only at the end.",
            ge=0,
            unit="steps",
            auto="as often as eval_cpu allows",
        ),
    ] = None
    choosing_episodes: Annotated[
        int, Setting("Number of episodes of each evaluation that chooses the best version.", ge=1)
    ] = 30
    eval_cpu: Annotated[
        float,
        Setting(
            "Share of the run's CPU time that evaluations while training take at most. With `broodmind evaluator`, of "
            "the time of one core.",
            gt=0,
            le=1,
        ),
    ] = 0.05

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a run."""

    run: Annotated[str, Setting("Name of the run.", command_defaults=(("export", "none"),))] = "default"
    game: Annotated[
        str,
        Setting(
            "The game: TinyZerg, ConnectFour, a Gymnasium id, MODULE:FACTORY, or starcraft2; of a game that owns its "
            "loop MODULE:SPEC, or offered, for the one that the first client connects with.",
            command_defaults=(("up", "TinyZerg; with client and without game_spec offered"),),
        ),
    ] = "TinyZerg"
    game_args: Annotated[
        dict[str, Any],
        Setting(
            "Arguments for the game's factory or gymnasium.make_vec: a table in a file, one --game-arg NAME=VALUE each "
            "on a command line, a JSON object in the environment."
        ),
    ] = field(default_factory=dict)
    game_spec: Annotated[
        dict[str, Any],
        Setting(
            "The arrays of a game that owns its loop, instead of game: observation_shape, actions, and where needed "
            "name, masked, wins, observation_dtype."
        ),
    ] = field(default_factory=dict)
    seed: Annotated[int, Setting("Seed of all random numbers of the run.", ge=0)] = 1
    algo: Annotated[
        str,
        Setting("The algorithm; auto is PPO with defaults that suit the game.", choices=("auto", *registry.ALGORITHMS)),
    ] = "auto"
    connection: ConnectionConfig = field(default_factory=ConnectionConfig)
    algorithm: Any = field(default_factory=registry.config_class(registry.AUTO))
    network: NetworkSpec = field(default_factory=NetworkSpec)
    rollout: RolloutSpec = field(default_factory=RolloutSpec)
    intake: IntakeConfig = field(default_factory=IntakeConfig)
    goal: Goal = field(default_factory=Goal)
    checkpointing: CheckpointConfig = field(default_factory=CheckpointConfig)
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    collapse: CollapseConfig = field(default_factory=CollapseConfig)
    lease: LeaseConfig = field(default_factory=LeaseConfig)
    actors: ActorsConfig = field(default_factory=ActorsConfig)
    supervision: SupervisionConfig = field(default_factory=SupervisionConfig)
    starcraft2: StarCraft2Config = field(default_factory=StarCraft2Config)
    serve: ServeConfig = field(default_factory=ServeConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    local: LocalConfig = field(default_factory=LocalConfig)
    record: RecordConfig = field(default_factory=RecordConfig)

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class Entry:
    """A setting and its place in the tree."""

    path: tuple[str, ...]  # the groups that contain it: none, one, or a group and a group inside it
    field: SettingField
    defaults: dict[str, Any]  # by algorithm, for a setting of the algorithms that have it; else empty

    @property
    def name(self) -> str:
        """The name of the setting, from which its other forms are made."""
        return self.field.name

    @property
    def option(self) -> str:
        """The option on a command line. Of a table of named values it gives one."""
        if self.field.kind is dict:
            return f"--{self.name.replace('_', '-').removesuffix('s')}"
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"BROODMIND_{self.name.upper()}"

    @property
    def key(self) -> str:
        """The key in a file, with its table."""
        return ".".join([*self.path, self.name])


@functools.cache
def groups() -> dict[str, type]:
    """The classes of the groups by name, without the algorithm's group, which has one of several classes."""
    hints = get_type_hints(Config)
    return {each.name: hints[each.name] for each in fields(Config) if is_dataclass(hints[each.name])}


@functools.cache
def entries() -> dict[str, Entry]:
    """Every setting by its name, in the order of the tree."""
    found: dict[str, Entry] = {}
    for algorithm, path, own, default in _walk():
        known = found.get(own.name)
        if known is None:
            found[own.name] = Entry(path, own, {algorithm: default} if algorithm else {})
        elif algorithm and known.path == path:
            known.defaults[algorithm] = default
        else:
            raise TypeError(f"{own.name}: a setting in {known.path} and in {path}, expected one place for one name")
    return found


def _walk() -> Iterator[tuple[str, tuple[str, ...], SettingField, Any]]:
    """Yield algorithm, path, setting and default of each setting, in the order of the tree."""
    for each in fields(Config):
        if each.name in settings_of(Config):
            own = settings_of(Config)[each.name]
            yield "", (), own, own.default
        elif each.name == ALGORITHM:
            for algorithm in registry.ALGORITHMS:
                for found in _of_group(registry.config_class(algorithm)(), (ALGORITHM,)):
                    yield algorithm, *found
        else:
            for found in _of_group(groups()[each.name](), (each.name,)):
                yield "", *found


def _of_group(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], SettingField, Any]]:  # noqa: ANN401
    """Yield path, setting and default. From an instance: a group inside may not have the defaults of its class."""
    for name, own in settings_of(type(group)).items():
        yield path, own, getattr(group, name)
    for name in subgroups(type(group)):
        yield from _of_group(getattr(group, name), (*path, name))


def subgroups(group: Any) -> dict[str, type]:  # noqa: ANN401 - a dataclass
    """The classes of the groups inside a group, by name."""
    return _subgroups(group)


@functools.cache
def _subgroups(group: Any) -> dict[str, type]:  # noqa: ANN401
    hints = get_type_hints(group)
    return {each.name: hints[each.name] for each in fields(group) if is_dataclass(hints[each.name])}
