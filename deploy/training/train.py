"""`broodmind.train`: a whole run on this machine, from a script."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from ...actors.games.checks.factory import is_importing_script
from ...common.arguments import function, invalid, optional, path
from ...common.errors import ConfigError, ProcessFailed
from ...common.process.clock import now_ms
from ..config.given import COMMAND_LINE, Given, of_values
from ..config.tree import Config, entries
from ..local.up import run_locally
from ..recording.tail import Tail
from ..records.run_folder import RunFolder, last_line
from .callable_games import game_name

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Callback = Callable[[dict[str, Any]], Any]

_NOT_HERE = {
    "name",
    "records",
    "standby",
    "client",
    "listen",
}  # settings that `broodmind up` alone, or no local run, has
_LINE_BYTES = 1 << 20  # of new lines at a time


@dataclass(frozen=True, slots=True)
class Run:
    """A run that `broodmind.train` has trained.

    Attributes:
        path: its folder: metrics, curve, checkpoints (docs/run_folder.md). `broodmind.load` takes it.
        best: the checkpoint of its best version; of its newest, where none was chosen.
        summary: what `broodmind up --json` prints: steps, games, evaluation of the last version and of the best.
        interrupted: whether it was stopped by Ctrl-C or by its callback.
    """

    path: Path
    best: Path
    summary: Mapping[str, Any]
    interrupted: bool = False


def train(
    game: str | Callable[..., Any],
    config: Mapping[str, Any] | Config | None = None,
    *,
    callback: Callback | None = None,
    out: str | os.PathLike[str] | None = None,
) -> Run:
    """Train a policy on this machine as `broodmind up` does: server, learner and actors are processes of their own.

    In a script the call must be guarded by `if __name__ == "__main__":`, because the actors import a game that is
    defined in it. Ctrl-C lets the processes finish their current work, evaluates the policy and returns.

    Args:
        game: a built-in game's name, a Gymnasium id, module:factory, or a function or class at the top level of a
            module or of the script: a factory of gymnasium.Env, or of a whole vector of them.
        config: settings by name, such as {"max_steps": 60000, "learning_rate": 1e-3}, or a configuration. Without
            `max_steps`, `max_seconds` or `until_return` it trains until it is stopped.
        callback: called with each new line of the run's metrics.jsonl, a dict. If it returns False, the run is stopped.
        out: the run's folder. A run that is in it is continued. None: a new folder in `runs/`.

    Returns:
        The run. `broodmind.load(run.best)` is its best policy.

    Raises:
        ConfigError: if a setting or the game cannot be used.
        ProcessFailed: if a process failed too often; the message has the last line of its log.
    """
    if is_importing_script():
        raise ConfigError(
            "train: called while a process of a run imports the script, expected the call to be guarded by "
            'if __name__ == "__main__":'
        )
    optional(function, "callback", callback)
    given = given_of(config).having(game=game_name(game))
    if out is not None:
        given = given.having(out=path("out", out))
    tails: dict[Path, Tail] = {}
    before = _version_before(given.get("out"))

    def goes_on(folder: RunFolder) -> bool:
        lines = tails.setdefault(folder.path, Tail(folder.metrics)).read(_LINE_BYTES) if callback else []
        lines = [line for line in lines if (line["epoch"], line["version"]) > before]
        return all(callback(line) is not False for line in lines) if callback else True

    end = run_locally(given, now_ms(), goes_on)
    if end.summary is None:
        raise ProcessFailed(f"run in {end.folder.path}: stopped before its first version, expected one")
    goes_on(end.folder)  # the last lines
    return Run(end.folder.path, end.folder.checkpoint(), end.summary, end.interrupted)


def _version_before(out: Path | None) -> tuple[int, int]:
    """Epoch and version at which a run is continued; zeros for a new one."""
    newest: dict[str, Any] = {}
    if out is not None:
        with suppress(OSError):  # the run's start says what is wrong with the folder
            newest = last_line(RunFolder(out).metrics)
    return newest.get("epoch", 0), newest.get("version", 0)


def given_of(config: Mapping[str, Any] | Config | None) -> Given:
    """The settings of a dict, or those of a configuration that differ from the defaults.

    Raises:
        ConfigError: naming the setting that does not exist, or whose value is not allowed.
    """
    if config is None:
        return Given()
    if not isinstance(config, Mapping | Config):
        raise invalid("config", config, "a dict of settings by name")
    values = _changed(config) if isinstance(config, Config) else dict(config)
    for name in values:
        if name not in entries() or name in _NOT_HERE:
            near = difflib.get_close_matches(str(name), entries().keys() - _NOT_HERE, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"config: {name!r}, expected names of settings, as in docs/settings.md{meant}")
    return of_values({name: value for name, value in values.items() if value is not None}, COMMAND_LINE)


def _changed(config: Config) -> dict[str, Any]:
    return dict(_differences(config, Config(algorithm=type(config.algorithm)())))


def _differences(ours: Any, defaults: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - dataclasses of one class
    for each in fields(ours):
        value, default = getattr(ours, each.name), getattr(defaults, each.name)
        if is_dataclass(value):
            yield from _differences(value, default)
        elif value != default:
            yield each.name, value
