"""The settings of recorded runs, and those in which several runs differ."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from ...common.errors import ConfigError
from .run_folder import RunFolder, read_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

# Where a run is, when it ends and how it is evaluated, and not how it goes.
_BESIDE = {"run", "name", "journal"}
_TABLES_BESIDE = {
    *("connection", "goal", "checkpointing", "archive", "lease", "supervision"),
    *("serve", "evaluation", "local", "record"),
}
SEED = "seed"
_IDENTITY = ("game", "game_args", "algo")


def run_folders(paths: Iterable[Path]) -> list[RunFolder]:
    """The runs that paths stand for: each a run's folder, or a folder of such; each run once.

    Raises ConfigError if one has no run.
    """
    found: list[RunFolder] = []
    for path in paths:
        if (folder := RunFolder(path)).is_run:
            found.append(folder)
            continue
        inside = [each for child in _children(path) if (each := RunFolder(child)).is_run]
        if not inside:
            raise ConfigError(f"run: {str(path)!r}, expected a run's folder, or a folder with runs in it")
        found += inside
    return list({folder.path.resolve(): folder for folder in found}.values())


def settings_of(folder: RunFolder) -> dict[str, Any]:
    """A run's settings by name, with game, algorithm and seed: all that says how it goes. Empty if it has no record."""
    try:
        raw = tomllib.loads(folder.config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raw = {}
    about = read_object(folder.about)
    own = {name: about[name] for name in (*_IDENTITY, SEED) if name in about}
    return {**dict(_flat(raw)), **own}


def differing(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the settings in which runs differ, seeds apart, in the order of the first run's.

    Runs without settings, of which there is no record, are left out.
    """
    runs = [run for run in runs if run]
    names = dict.fromkeys(name for run in runs for name in run if name != SEED)
    return [name for name in names if any(run.get(name) != runs[0].get(name) for run in runs)]


def telling(runs: Sequence[Mapping[str, Any]], given: Collection[str]) -> list[str]:
    """Those of the differing settings that tell people the runs apart.

    Args:
        runs: their settings.
        given: the names of the settings that were given to one of them. The others follow from these: an algorithm's
            own hyperparameters, and defaults that depend on the game.
    """
    names, runs = differing(runs), [run for run in runs if run]
    in_all = [name for name in names if all(name in run for run in runs)]
    for some in ([name for name in names if name in given or name in _IDENTITY], in_all):
        if some and _as_different(runs, some, names):
            return some
    return names


def given_to(folders: Iterable[RunFolder]) -> set[str]:
    """The names of the settings that were given to any of the runs at any start."""
    starts = [start for folder in folders for start in read_object(folder.about).get("starts", [])]
    return {name for start in starts for name in start.get("settings", {})}


def _as_different(runs: Sequence[Mapping[str, Any]], some: Sequence[str], names: Sequence[str]) -> bool:
    """Whether runs that differ in `names` differ in `some` too."""
    kinds = [{repr([run.get(name) for name in each]) for run in runs} for each in (some, names)]
    return len(kinds[0]) == len(kinds[1])


def in_words(settings: Mapping[str, Any], names: Iterable[str]) -> str:
    """Settings as they would be typed: `learning_rate=0.001 algo=vtrace`. Nothing for a run of which none are known."""
    if not settings:
        return ""
    return " ".join(f"{name}={shown(settings.get(name))}" for name in names)


def shown(value: Any) -> str:  # noqa: ANN401 - of TOML's types
    """A value in a word."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ",".join(map(shown, value))
    if isinstance(value, dict):
        return ",".join(f"{name}={shown(each)}" for name, each in value.items()) or "none"
    return "auto" if value is None else str(value)


def _flat(table: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in table.items():
        if name in _BESIDE or name in _TABLES_BESIDE:
            continue
        if isinstance(value, dict) and name != "game_args":
            yield from _flat(value)
        else:
            yield name, value


def _children(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir()) if path.is_dir() else []
