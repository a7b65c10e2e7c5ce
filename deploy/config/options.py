"""Command-line options made from the tree of settings."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from . import inherited, old_options
from .given import gather
from .tree import ALGORITHM, entries, groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .tree import Entry

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
    """Give a command the options of groups and single settings; it is called with a `Given` first.

    Args:
        names: groups, or settings.
        without: settings of these groups that the command does not have.
        inherits: whether a parent process may hand the settings over instead; see `inherited`.
    """
    chosen = [entry for entry in entries().values() if {entry.name, *entry.path[:1]} & set(names)]
    chosen = [entry for entry in chosen if entry.name not in without]
    made = [_option(entry) for entry in chosen if not entry.field.setting.secret]
    made += old_options.options([entry.name for entry in chosen])
    made.append(
        click.option(
            "--config",
            "config_file",
            metavar="FILE",
            allow_from_autoenv=False,
            help="A TOML file of settings; `broodmind config` prints one.",
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
                command = click.get_current_context().info_name or ""
                typed |= {e.name: v for e in chosen if (v := parameters.get(e.name)) is not None}
                given = gather(command, typed, config_file)
            mine = {entry.name for entry in chosen}
            return function(given, **{name: value for name, value in parameters.items() if name not in mine})

        for option in reversed(made):
            call = option(call)
        return call

    return decorate


def _option(entry: Entry) -> Callable[..., Any]:
    field = entry.field
    if field.kind is bool:
        dashed = entry.option.removeprefix("--")
        return click.option(
            f"--{dashed}/--no-{dashed}", entry.name, default=None, help=_help(entry), allow_from_autoenv=False
        )
    metavar = f"[{'|'.join(field.choices)}]" if field.choices else _METAVARS.get(field.kind, "PATH")
    return click.option(entry.option, entry.name, metavar=metavar, help=_help(entry), allow_from_autoenv=False)


def _help(entry: Entry) -> str:
    field = entry.field
    notes = [field.range, field.setting.unit and f"in {field.setting.unit}", f"default: {default_in_words(entry)}"]
    return f"{field.setting.help}  [{'; '.join(note for note in notes if note)}]"


def default_in_words(entry: Entry) -> str:
    """The default, as help and the reference page say it."""
    field = entry.field
    if field.setting.auto:
        return field.setting.auto
    defaults = entry.defaults or {"": field.default}
    if len(set(map(repr, defaults.values()))) == 1:
        return _shown(next(iter(defaults.values())))
    return ", ".join(f"{algorithm} {_shown(value)}" for algorithm, value in defaults.items())


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _section(parameter: str) -> str:
    """The section of the help that a parameter stands in."""
    entry = entries().get(parameter)
    return title(entry.path[0]) if entry is not None and entry.path else "Options"


def title(group: str) -> str:
    """What a group is, by the first line of its docstring, without the full stop."""
    if group == ALGORITHM:
        return "The algorithm's hyperparameters"
    return (groups()[group].__doc__ or "").strip().splitlines()[0].rstrip(".")
