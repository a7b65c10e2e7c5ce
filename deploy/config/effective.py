"""The effective configuration: given settings over presets and defaults, all checked."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from ...common.actions import Box
from ...common.errors import ConfigError
from ...common.server.address import redacted, with_password
from ...common.server.local_socket import running_socket
from ...common.setting import settings_of
from ...common.spec import RunSpec
from ...learner.algorithms import registry
from ...learner.config import LearnerConfig
from .given import check_algorithm
from .tree import ALGORITHM, DEFAULT_URL, Config, groups, subgroups

if TYPE_CHECKING:
    from pathlib import Path

    from ...common.spec import GameSpec
    from .given import Given

BATCH_STEPS = 2048
LOCAL_ACTORS = 2
EVAL_SHARE = 0.1  # of the games of bots
BATCH_EPISODES = 16
OFFERED = "offered"  # as the setting `game`: the one that the first client connects with
LONGEST_EPISODE = 4096  # the number of steps at which a whole episode is truncated


def effective(given: Given, game: GameSpec | None = None) -> Config:
    """Make the effective configuration.

    Args:
        given: the settings that were given.
        game: the game's spec, on which some defaults depend; None if the settings are only to be checked.

    Raises:
        ConfigError: if settings do not fit together; the message names one of them.
    """
    algo = registry.resolve(given.get("algo", "auto"))
    check_algorithm(given, algo)
    continuous = game is not None and isinstance(game.actions, Box)
    config_class = registry.config_class(algo)
    values = {
        # The observations of games with continuous actions usually are measurements, each on a scale of its own.
        "normalize_observations": continuous,
        **registry.preset(given.get("algo", "auto"), continuous=continuous),
        **(_of_episodes(given, algo) if config_class.WHOLE_EPISODES else _of_steps(given, algo)),
        **given.values,
        "algo": algo,
    }
    if table := given.get("game_spec"):
        values["game"] = str(table.get("name", "game"))
    if not continuous:
        values["noise_correlation"] = 0.0
    built = {name: _with(group(), values) for name, group in groups().items()}
    own = {name: values[name] for name in settings_of(Config) if name in values}
    return Config(**own, **{ALGORITHM: _with(config_class(), values)}, **built)


def for_local_run(given: Given) -> Given:
    """Add the defaults of `broodmind up`, where they differ from those of the other commands."""
    if given.get("client"):
        given = given.defaulting(eval_share=EVAL_SHARE)
        return given if "game_spec" in given.values else given.defaulting(game=OFFERED)
    given = given.defaulting(actors=LOCAL_ACTORS)
    config = effective(given)
    if config.algorithm.WHOLE_EPISODES:
        return given
    if not config.rollout.lock_step:
        return given
    # In lock step a batch is one trajectory from each actor.
    actors = config.actors.actors
    batch_steps = actors * config.actors.envs * config.rollout.fragment_length
    return given.defaulting(batch_steps=batch_steps, wait_for_actors=actors)


def run_spec(config: Config, game: GameSpec) -> RunSpec:
    """The run's spec, with which every actor must agree."""
    return RunSpec(game, config.network, config.rollout, config.seed)


def learner_config(config: Config) -> LearnerConfig:
    """The settings of the learner alone, and the whole configuration as JSON, which it stores with the run."""
    algorithm, schedule = config.algorithm, config.algorithm.schedule
    if schedule.anneal_steps is None:
        schedule = replace(schedule, anneal_steps=config.goal.max_steps or 0)
        algorithm = replace(algorithm, schedule=schedule)
    return LearnerConfig(
        algorithm,
        config.intake,
        config.goal,
        config.lease,
        config.checkpointing,
        config.archive,
        config.collapse,
        record=json.dumps(to_plain(config)),
    )


def server_url(given: Given) -> str:
    """The server's URL with its password, for connecting. It must never be shown. Raises ConfigError."""
    return with_password(given.get("redis", DEFAULT_URL), _password(given))


def server_url_of_run(given: Given, run: str) -> str:
    """Like `server_url`, for a command that looks at a run.

    If no server was given and `broodmind up --client` runs it on this machine, it is that one's.
    """
    path = None if "redis" in given.values else running_socket(run)
    return server_url(given) if path is None else with_password(f"unix://{path}", _password(given))


def to_plain(config: Any) -> dict[str, Any]:  # noqa: ANN401 - the tree, or a group of it
    """The tree as values of JSON and TOML, without secrets."""
    known = settings_of(type(config))
    found: dict[str, Any] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        if each.name in known:
            field = known[each.name]
            if not field.setting.secret:
                found[each.name] = redacted(value) if field.setting.holds_secret and value else field.plain(value)
        elif is_dataclass(value):
            found[each.name] = to_plain(value)
    return found


def _password(given: Given) -> str:
    password, file = given.get("redis_password"), given.get("redis_password_file")
    if file is not None and (password is None or given.sources["redis_password_file"] == ""):
        password = _first_line(file)
    return password or ""


def _of_steps(given: Given, algo: str) -> dict[str, Any]:
    """Defaults of the algorithms that train on fragments of a fixed length."""
    if given.get("batch_games"):
        having = " or ".join(name for name in registry.ALGORITHMS if registry.config_class(name).WHOLE_EPISODES)
        raise ConfigError(f"batch_games: {given.values['batch_games']} with algo {algo}, expected algo {having}")
    return {"batch_steps": BATCH_STEPS, "batch_games": 0}


def _of_episodes(given: Given, algo: str) -> dict[str, Any]:
    """Defaults of the algorithms that train on whole episodes."""
    games = given.get("batch_games", 0 if "batch_steps" in given.values else BATCH_EPISODES)
    rate = registry.config_class(algo)().learning_rate
    if 0 < games < BATCH_EPISODES:  # more updates for as much play, each noisier (Malladi et al. 2022, 2205.10287)
        rate = float(f"{rate * math.sqrt(games / BATCH_EPISODES):.3g}")
    return {
        "learning_rate": rate,
        "unroll": "games",
        "fragment_length": LONGEST_EPISODE,
        "batch_steps": 0,
        "batch_games": games,
    }


def _with(group: Any, values: dict[str, Any]) -> Any:  # noqa: ANN401 - an instance of a group
    """The group, with those of the values that belong to it or to a group inside it."""
    inner = {name: _with(getattr(group, name), values) for name in subgroups(type(group))}
    own = {each.name: values[each.name] for each in fields(group) if each.name in values}
    return replace(group, **own, **inner)


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"redis_password_file: {str(path)!r}, expected a file that can be read ({reason})") from error
