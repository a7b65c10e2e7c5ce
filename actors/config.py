"""Settings of actor processes: copies of the game, supervision, StarCraft II."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ..common.setting import Setting, check_settings

NO_PROGRESS_S = 300.0


@dataclass(frozen=True, slots=True)
class ActorsConfig:
    """Actor processes."""

    actors: Annotated[int, Setting("Actor processes.", ge=1, auto="1; broodmind up: 2")] = 1
    envs: Annotated[int, Setting("Copies of the game in each process.", ge=1)] = 32
    name: Annotated[
        str | None, Setting("What the actors' names begin with.", auto="host and process id; broodmind up: local")
    ] = None
    policy_lag: Annotated[
        int, Setting("Play so many versions behind the newest, for experiments.", ge=0, unit="versions")
    ] = 0
    journal: Annotated[
        Path | None,
        Setting(
            "Folder for notes of what Redis acknowledged: `broodmind verify --journal` compares the run with them."
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class SupervisionConfig:
    """The supervision of actor processes."""

    no_progress_seconds: Annotated[
        float,
        Setting("Restart an actor that makes no progress for so long; 0: never.", ge=0, unit="seconds"),
    ] = NO_PROGRESS_S
    max_attempt_seconds: Annotated[
        float, Setting("Restart an actor that has run for so long; 0: never.", ge=0, unit="seconds")
    ] = 0.0
    records: Annotated[Path | None, Setting("File that gets a line of JSON for each attempt of an actor.")] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class StarCraft2Config:
    """Games of StarCraft II."""

    map: Annotated[str | None, Setting("Name of the map.")] = None
    opponent: Annotated[str, Setting("The computer player, RACE:DIFFICULTY.")] = "zerg:easy"
    game_seconds: Annotated[
        int, Setting("Game time at which a game is cut off, as truncated.", ge=1, unit="seconds")
    ] = 1200

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """Games of other programs."""

    serve: Annotated[
        str | None,
        Setting("HOST:PORT to listen at for games of other programs, instead of playing; port 0 is any free one."),
    ] = None
    spool_dir: Annotated[
        Path | None, Setting("With serve: folder where finished episodes wait while Redis is away.")
    ] = None

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)
