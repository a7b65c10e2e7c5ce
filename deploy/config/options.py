"""Command-line options made from the tree of settings."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import click

from ...learner.algorithms import registry
from . import inherited, old_options
from .given import gather
from .tree import ALGORITHM, entries, groups, subgroups
from .unknown_variables import warn_of_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .tree import Entry

_MULTIPLE: dict[type, str] = {dict: "NAME=VALUE", list: "NAME"}  # kinds of settings that may be given several times
_METAVARS = {int: "INTEGER", float: "FLOAT", str: "TEXT", tuple: "N,N"}


class SettingsCommand(click.Command):
    """A command whose help lists its settings by group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then each group's."""
        by_group: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                by_group.setdefault(_section(parameter.name or ""), []).append(record)
        for title in sorted(by_group, key=lambda title: title != "Options"):
            with formatter.section(title):
                formatter.write_dl(by_group[title])


def with_settings(
    *names: str, without: Sequence[str] = (), inherits: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command with the options of settings. The first argument of the command is a `Given`.

    Args:
        names: names of groups, whose settings are all taken, or of single settings.
        without: settings of these groups that the command does not have.
        inherits: whether a parent process may hand the settings over instead; see `inherited`.
    """
    chosen = [entry for entry in entries().values() if {entry.name, *entry.path[:1]} & set(names)]
    chosen = [entry for entry in chosen if entry.name not in without]
    multiple = {entry.name for entry in chosen if entry.field.kind in _MULTIPLE}
    made = [_option(entry) for entry in chosen if not entry.field.setting.secret]
    made += old_options.options([entry.name for entry in chosen])
    made.append(
        click.option(
            "--config",
            "config_file",
            metavar="FILE",
            allow_from_autoenv=False,
            help="A TOML file with settings; `broodmind config` prints one.",
        )
    )
    if inherits:
        made.append(click.option("--inherit", metavar="LABEL", hidden=True, allow_from_autoenv=False))

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*, config_file: str | None, **parameters: Any) -> Any:  # noqa: ANN401 - click's
            typed = old_options.typed(parameters)
            if parameters.get("inherit") is not None:
                given = inherited.receive()
            else:
                context = click.get_current_context()
                command = context.info_name or ""
                warn_of_unknown(os.environ, context)
                typed |= {e.name: v for e in chosen if (v := parameters.get(e.name)) is not None}
                typed = {name: value for name, value in typed.items() if value or name not in multiple}
                given = gather(command, typed, config_file)
            mine = {entry.name for entry in chosen}
            return function(given, **{name: value for name, value in parameters.items() if name not in mine})

        for option in reversed(made):
            call = option(call)
        return call

    return decorate


class _SettingOption(click.Option):
    """The option of a setting. Its help shows the default that the setting has in the command at hand."""

    def __init__(self, *args: Any, entry: Entry, **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*args, **attributes)
        self.allow_from_autoenv = False  # the environment is read in `given`, for every command by the same names
        self._entry = entry

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The option as it is spelt, and its help."""
        record = super().get_help_record(ctx)
        return record and (record[0], _help(self._entry, ctx.info_name or ""))


def _option(entry: Entry) -> Callable[..., Any]:
    field = entry.field
    if field.kind is bool:
        dashed = entry.option.removeprefix("--")
        return click.option(f"--{dashed}/--no-{dashed}", entry.name, cls=_SettingOption, entry=entry, default=None)
    if field.kind in _MULTIPLE:
        metavar = _MULTIPLE[field.kind]
        return click.option(entry.option, entry.name, cls=_SettingOption, entry=entry, multiple=True, metavar=metavar)
    metavar = f"[{'|'.join(field.choices)}]" if field.choices else _METAVARS.get(field.kind, "PATH")
    return click.option(entry.option, entry.name, cls=_SettingOption, entry=entry, metavar=metavar)


def _help(entry: Entry, command: str) -> str:
    field = entry.field
    default = f"default: {default_in_words(entry, command)}"
    notes = [field.range, field.setting.unit and f"in {field.setting.unit}", default]
    return f"{field.setting.help}  [{'; '.join(note for note in notes if note)}]"


def default_in_words(entry: Entry, command: str | None = None) -> str:
    """The default in one command, as its help says it; without a command the defaults in all, as on the reference page.

    The defaults of the algorithms are listed if they differ.
    """
    field = entry.field
    of_commands = dict(field.setting.command_defaults)
    if command in of_commands:
        return of_commands[command]
    values = entry.defaults or {"": field.default}
    if field.setting.auto:
        words = field.setting.auto
    elif len(set(map(repr, values.values()))) == 1:
        words = _shown(next(iter(values.values())))
    else:
        words = ", ".join(f"{algorithm} {_shown(value)}" for algorithm, value in values.items())
    if command is None:
        words += "".join(f"; broodmind {name}: {own}" for name, own in of_commands.items())
    return words


def _shown(value: object) -> str:
    if value is None or value in ({}, ()):
        return "none"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _section(parameter: str) -> str:
    """The section of the help that lists a parameter."""
    entry = entries().get(parameter)
    return title(entry.path) if entry is not None and entry.path else "Options"


def title(path: Sequence[str]) -> str:
    """The title of a group, or of a group inside a group: the first line of its docstring, without the full stop."""
    if tuple(path) == (ALGORITHM,):
        return "The algorithm's hyperparameters"
    first, *inner = path
    # The algorithm is one of several classes; a group inside it has the same title in each that has it.
    found = [*map(registry.config_class, registry.ALGORITHMS)] if first == ALGORITHM else [groups()[first]]
    for name in inner:
        found = [subgroups(group)[name] for group in found if name in subgroups(group)]
    return (found[0].__doc__ or "").strip().splitlines()[0].rstrip(".")
