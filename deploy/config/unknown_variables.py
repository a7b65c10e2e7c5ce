"""Warns of environment variables that begin with BROODMIND_ and name no setting, such as a mistyped one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import click

from ...actors.supervision.progress_pipe import FOLDER
from ...common import deprecated
from .given import CONFIG_VARIABLE
from .tree import entries

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "BROODMIND_"


def warn_of_unknown(environment: Mapping[str, str], context: click.Context) -> None:
    """Write one line on standard error for each variable that is ignored. Its value is not shown: it may be secret.

    Args:
        environment: the variables of this process.
        context: of the command that runs. Its program's commands may have variables of their own.
    """
    known = {entry.variable for entry in entries().values()} | {CONFIG_VARIABLE, FOLDER}
    known |= {f"{_PREFIX}{name.upper()}" for name in deprecated.ENDED_SETTINGS}
    unknown = [name for name, value in environment.items() if name.startswith(_PREFIX) and value and name not in known]
    if not unknown:
        return  # the usual case, in which the commands need not be imported
    known |= _of_commands(context)
    for name in unknown:
        if name not in known:
            near = _nearest(name, _commands(context))
            advice = f"did you mean {near}?" if near else "`broodmind config` prints all settings"
            click.echo(f"broodmind: environment variable {name} names no setting and has no effect; {advice}", err=True)


def _of_commands(context: click.Context) -> set[str]:
    """Variables that begin with a command's name: of its own options, and of settings as before 0.2."""
    root = context.find_root()
    found = {f"{_PREFIX}{option}" for option in _options(root.command)}
    settings = {*entries(), *deprecated.SETTINGS, *deprecated.ENDED_SETTINGS}
    for name, command in _commands(context).items():
        found |= {f"{_PREFIX}{name}_{parameter}" for parameter in settings | _options(command)}
    return {variable.upper() for variable in found}


def _options(command: click.Command) -> set[str]:
    """The options of a command that click reads from the environment by itself: those that are no settings."""
    return {each.name or "" for each in command.params if isinstance(each, click.Option) and each.allow_from_autoenv}


def _commands(context: click.Context) -> dict[str, click.Command]:
    """The commands of the program, by name."""
    root = context.find_root()
    if not isinstance(root.command, click.Group):
        return {}
    names = root.command.list_commands(root)
    return {name: found for name in names if (found := root.command.get_command(root, name)) is not None}


def _nearest(variable: str, commands: Mapping[str, click.Command]) -> str | None:
    """The variable that was probably meant, with or without the name of a command in it."""
    name = variable.removeprefix(_PREFIX).lower()
    spellings = [name, *(name.removeprefix(f"{command}_") for command in commands if name.startswith(f"{command}_"))]
    candidates = [*entries(), CONFIG_VARIABLE.removeprefix(_PREFIX).lower()]
    for spelling in spellings:
        for meant in difflib.get_close_matches(deprecated.SETTINGS.get(spelling, spelling), candidates, n=1):
            return f"{_PREFIX}{meant.upper()}"
    return None
