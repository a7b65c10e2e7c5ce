"""Settings of actor processes: copies of the game, supervision, StarCraft II."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ..common.errors import ConfigError
from ..common.own_metrics import NAMES_MAX, check_name
from ..common.setting import Setting, check_settings

NO_PROGRESS_S = 300.0


@dataclass(frozen=True, slots=True)
class ActorsConfig:
    """Actor processes."""

    actors: Annotated[int, Setting("Number of actor processes.", ge=1, command_defaults=(("up", "2"),))] = 1
    envs: Annotated[int, Setting("Number of copies of the game in each actor process.", ge=1)] = 32
    name: Annotated[
        str | None,
        Setting(
            "Prefix of the names of the actors.", auto="host name and process id", command_defaults=(("up", "local"),)
        ),
    ] = None
    policy_lag: Annotated[
        int,
        Setting(
            "Play with a policy that is older than the newest by this much. For experiments.", ge=0, unit="versions"
        ),
    ] = 0
    metric: Annotated[
        tuple[str, ...],
        Setting("Names of numbers in the infos of games that ended, to be shown beside the returns; up to 32."),
    ] = ()
    journal: Annotated[
        Path | None,
        Setting(
            "Folder for journals of the trajectories that Redis has acknowledged. "
            "`broodmind verify --journal` checks the run against them."
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)
        for name in self.metric:
            check_name(name)
        if len(self.metric) > NAMES_MAX:
            raise ConfigError(f"metric: {len(self.metric)} names, expected at most {NAMES_MAX}")


@dataclass(frozen=True, slots=True)
class SupervisionConfig:
    """The supervision of actor processes."""

    no_progress_seconds: Annotated[
        float,
        Setting("Restart an actor that has made no progress for this long; 0: never.", ge=0, unit="seconds"),
    ] = NO_PROGRESS_S
    max_attempt_seconds: Annotated[
        float, Setting("Restart an actor that has run for this long; 0: never.", ge=0, unit="seconds")
    ] = 0.0
    records: Annotated[
        Path | None,
        Setting(
            "File to which a line of JSON is added when an actor process ends, or with serve when an episode ends."
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class StarCraft2Config:
    """Games of StarCraft II."""

    map: Annotated[str | None, Setting("Name of the StarCraft II map.")] = None
    opponent: Annotated[str, Setting("The computer player to play against, as RACE:DIFFICULTY.")] = "zerg:easy"
    game_seconds: Annotated[
        int, Setting("Game time after which a game is stopped and counts as truncated.", ge=1, unit="seconds")
    ] = 1200

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """The local server for games in other programs."""

    serve: Annotated[
        str | None,
        Setting("HOST:PORT at which to serve games in other programs, instead of playing. Port 0: any free port."),
    ] = None
    spool_dir: Annotated[
        Path | None, Setting("With serve: folder that keeps finished episodes while Redis cannot be reached.")
    ] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)
