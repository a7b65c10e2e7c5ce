"""Given settings and where each was set: command line, environment, file, or parent process.

Precedence: command line, environment, file. A setting that is given nowhere has the preset's or its field's default.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common import deprecated
from ...common.errors import ConfigError
from . import old_options
from .tree import ALGORITHM, entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COMMAND_LINE = ""  # as a source; messages do not name it, because the user has just typed the setting
CONFIG_VARIABLE = "BROODMIND_CONFIG"


@dataclass(frozen=True, slots=True)
class Given:
    """The given settings by name: their values, each of its field's type, and their sources."""

    values: Mapping[str, Any] = field(default_factory=dict, repr=False)  # a password may be among them
    sources: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - of the setting's type
        """A setting's value, or the default if it was not given."""
        return self.values.get(name, default)

    def over(self, other: Given) -> Given:
        """The settings of both. These settings take precedence, each value of a table of named values by itself."""
        tables = {
            name: {**other.values[name], **value}
            for name, value in self.values.items()
            if isinstance(value, dict) and name in other.values
        }
        return Given({**other.values, **self.values, **tables}, {**other.sources, **self.sources})

    def having(self, **values: Any) -> Given:  # noqa: ANN401 - of the settings' types
        """These settings and the values, which take precedence."""
        return Given(values, dict.fromkeys(values, COMMAND_LINE)).over(self)

    def defaulting(self, **values: Any) -> Given:  # noqa: ANN401 - of the settings' types
        """These settings, and the values of those that were not given."""
        return self.over(Given(values, dict.fromkeys(values, "default")))

    def only(self, names: Iterable[str]) -> Given:
        """The settings with these names alone."""
        kept = set(names)
        return Given(
            {name: value for name, value in self.values.items() if name in kept},
            {name: source for name, source in self.sources.items() if name in kept},
        )

    def plain(self) -> dict[str, Any]:
        """The values as JSON has them."""
        return {name: entries()[name].field.plain(value) for name, value in self.values.items()}


def gather(command: str, typed: Mapping[str, Any], file: str | None) -> Given:
    """Collect the settings that are given to a command.

    Args:
        command: its name.
        typed: the values on the command line, by setting.
        file: the value of --config.

    Raises:
        ConfigError: naming the setting, its value, where it was set, and what is allowed.
    """
    file = file or os.environ.get(CONFIG_VARIABLE)
    in_file = of_file(Path(file)) if file else Given()
    return of_values(typed, COMMAND_LINE).over(of_environment(command, os.environ)).over(in_file)


def of_values(raw: Mapping[str, Any], source: str) -> Given:
    """Convert the values of one source to the types of their fields."""
    values = {name: entries()[name].field.convert(value, source) for name, value in raw.items()}
    return Given(values, dict.fromkeys(values, source))


def of_environment(command: str, environment: Mapping[str, str]) -> Given:
    """Read settings from the environment, under their current names and the names of before 0.2."""
    found = Given()
    for name, entry in entries().items():
        if environment.get(entry.variable):
            found = of_values({name: environment[entry.variable]}, f"environment variable {entry.variable}").over(found)
    for variable, name, value in old_options.in_environment(command, environment):
        found = found.over(of_values({name: value}, f"environment variable {variable}"))
    return found


def of_file(path: Path) -> Given:
    """Read settings from a TOML file: `run`, `game`, `seed` and `algo` at its head, others in their group's table."""
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"config: {str(path)!r}, expected a file that can be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config: {str(path)!r}, expected TOML ({error})") from error
    return of_values(dict(_flat(raw, (), path)), str(path))


def _flat(table: Mapping[str, Any], where: tuple[str, ...], path: Path) -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        entry = entries().get(key)
        if entry is not None and entry.path == where:
            yield key, value
        elif isinstance(value, dict) and any(
            each.path[: len(where) + 1] == (*where, key) for each in entries().values()
        ):
            yield from _flat(value, (*where, key), path)
        elif not old_options.has_ended(key, str(path)):
            raise ConfigError(
                _unknown_table(key, where, path) if isinstance(value, dict) else _unknown(key, where, path)
            )


def _unknown(key: str, where: tuple[str, ...], path: Path) -> str:
    """The error for a key that is no setting in its table. It suggests the setting that was probably meant."""
    table = f"table [{'.'.join(where)}]" if where else "head"
    meant = next(iter(difflib.get_close_matches(deprecated.SETTINGS.get(key, key), entries(), n=1)), None)
    if meant is not None:
        expected = f"{meant}{_place(meant)}"
        return f"{key}: no setting in the {table} of {path}, expected the name of a setting; did you mean {expected}?"
    here = [each.name for each in entries().values() if each.path == where]
    tables = [f"[{'.'.join(each)}]" for each in _tables() if each[:-1] == where]
    return f"{key}: no setting in the {table} of {path}, expected one of {', '.join([*here, *tables])}"


def _unknown_table(key: str, where: tuple[str, ...], path: Path) -> str:
    """The error for a table that no group of settings has. It suggests the table that was probably meant."""
    name = ".".join([*where, key])
    known = {".".join(each): f"[{'.'.join(each)}]" for each in _tables()}
    meant = next(iter(difflib.get_close_matches(name, known, n=1)), None)
    if meant is not None:
        return f"[{name}]: no table of settings in {path}, expected {known[meant]}"
    return f"[{name}]: no table of settings in {path}, expected one of {', '.join(known.values())}"


def _tables() -> list[tuple[str, ...]]:
    """The tables of a file, in the order of the tree."""
    return list(dict.fromkeys(each.path for each in entries().values() if each.path))


def _place(name: str) -> str:
    path = entries()[name].path
    return f" in [{'.'.join(path)}]" if path else " at the head"


def check_algorithm(given: Given, algo: str) -> None:
    """Raise ConfigError if a setting was given that the algorithm does not have."""
    for name in given.values:
        entry = entries()[name]
        if entry.path[:1] == (ALGORITHM,) and algo not in entry.defaults:
            having = " or ".join(entry.defaults)
            raise ConfigError(f"{name}: {given.values[name]} with algo {algo}, expected algo {having}")
