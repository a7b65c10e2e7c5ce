"""Deprecated options and environment variables: they still work, with a warning that names the current ones."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import click

from ...common import deprecated
from ...common.errors import ConfigError
from .tree import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def options(names: Sequence[str]) -> list[Callable[..., Any]]:
    """Make hidden options for those of the settings that had another name, and `--set`."""
    made = []
    for old, new in deprecated.SETTINGS.items():
        if new in names:
            flag, parameter = old.replace("_", "-"), f"deprecated_{old}"
            if entries()[new].field.kind is bool:
                flags = f"--{flag}/--no-{flag}"
                made.append(click.option(flags, parameter, default=None, hidden=True, allow_from_autoenv=False))
            else:
                made.append(click.option(f"--{flag}", parameter, hidden=True, allow_from_autoenv=False))
    if "fragment_length" in names:
        for old in deprecated.ENDED_SETTINGS:
            flag, parameter = old.replace("_", "-"), f"deprecated_{old}"
            made.append(click.option(f"--{flag}", parameter, hidden=True, allow_from_autoenv=False))
    if "gamma" in names:
        made.append(click.option("--set", "deprecated_set", multiple=True, hidden=True, allow_from_autoenv=False))
    return made


def typed(parameters: dict[str, Any]) -> dict[str, Any]:
    """Remove the values of old options from a command's parameters, and return them by setting."""
    found: dict[str, Any] = {}
    for old, new in deprecated.SETTINGS.items():
        value = parameters.pop(f"deprecated_{old}", None)
        if value is not None:
            _warn(f"--{old.replace('_', '-')}", entries()[new].option)
            found[new] = value
    for old, new in deprecated.ENDED_SETTINGS.items():
        if parameters.pop(f"deprecated_{old}", None) is not None:
            _warn(f"--{old.replace('_', '-')}", new)
    for assignment in parameters.pop("deprecated_set", None) or ():
        name, value = _assigned(assignment)
        _warn(f"--set {assignment.partition('=')[0]}", entries()[name].option)
        found[name] = value
    return found


def in_environment(command: str, environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Find variables of the old form BROODMIND_COMMAND_OPTION. Yields variable, setting and value."""
    prefix = f"BROODMIND_{command.upper()}_"
    for variable, value in environment.items():
        old = variable.removeprefix(prefix).lower()
        new = deprecated.SETTINGS.get(old, old)
        if variable.startswith(prefix) and new in entries() and value:
            _warn(variable, entries()[new].variable)
            yield variable, new, value
    for old, new in deprecated.ENDED_SETTINGS.items():
        for variable in (f"{prefix}{old.upper()}", f"BROODMIND_{old.upper()}"):
            if environment.get(variable):
                _warn(variable, new)


def has_ended(name: str, where: str) -> bool:
    """Whether a setting in a file has no effect any more; then a warning says so."""
    if name not in deprecated.ENDED_SETTINGS:
        return False
    _warn(f"{name} in {where}", deprecated.ENDED_SETTINGS[name])
    return True


def _assigned(assignment: str) -> tuple[str, str]:
    """The setting and the value of `--set NAME=VALUE`. Raises ConfigError, which does not show the value."""
    old, equals, value = assignment.partition("=")
    old = old.strip()
    name = deprecated.HYPERPARAMETERS.get(old, old)
    algorithms = sorted(each for each, entry in entries().items() if entry.defaults)
    if equals and name in algorithms:
        return name, value.strip()
    if name in algorithms:
        expected = f"{old}=VALUE"
    elif name in entries() and not entries()[name].field.setting.secret:
        expected = f"the option {entries()[name].option}, because --set sets only hyperparameters of algorithms"
    elif near := difflib.get_close_matches(name, algorithms, n=1):
        expected = f"a hyperparameter; did you mean {entries()[near[0]].option}?"
    else:
        expected = f"NAME=VALUE with a hyperparameter: {', '.join(algorithms)}"
    raise ConfigError(f"set: {old!r}, expected {expected}")


def _warn(old: str, new: str) -> None:
    click.echo(f"broodmind: {old} is deprecated and ends with {deprecated.END}, use {new}", err=True)
