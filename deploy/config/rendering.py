"""The configuration as text: a commented TOML file, and the reference page of all settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...common.server.address import HIDDEN
from .effective import to_plain
from .options import default_in_words, title
from .tree import ALGORITHM, entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .tree import Config, Entry

_INTRODUCTION = """\
# Settings

<!-- Made from the settings' fields by `broodmind config --reference > docs/settings.md`; a test compares. -->

Each setting has one name. The name `max_staleness` is `--max-staleness` on a command line, `BROODMIND_MAX_STALENESS` in
the environment, and `max_staleness` in the table `[intake]` of a TOML file. The option `--config run.toml` or the
environment variable `BROODMIND_CONFIG` names the file. The command line takes precedence over the environment, the
environment over the file, and the file over the defaults below.

Each command uses the settings that it has options for and ignores all others, so that one file can configure all
commands of a run. `broodmind config` prints the effective configuration as such a file. If a value is not allowed, the
command ends with exit code 3 before it starts anything. An environment variable that begins with `BROODMIND_` and names
no setting has no effect; the command warns of it on standard error.
"""


def to_toml(config: Config) -> str:
    """The effective configuration as a file for --config, with the help of each setting."""
    return plain_to_toml(to_plain(config))


def plain_to_toml(plain: Mapping[str, Any]) -> str:
    """The same, of what `to_plain` made of a configuration."""
    sections: dict[tuple[str, ...], list[str]] = {}
    for entry in entries().values():
        table: Any = plain
        for part in entry.path:
            table = table[part]
        if entry.field.setting.secret or entry.name not in table:
            continue  # the setting of another algorithm
        sections.setdefault(entry.path, []).append(_assignment(entry, table[entry.name]))
    blocks = []
    for path, lines in sections.items():
        heading = f"# {title(path)}.\n[{'.'.join(path)}]\n" if path else ""
        blocks.append(heading + "\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def to_reference() -> str:
    """The reference page of all settings, as Markdown."""
    parts = [_INTRODUCTION]
    tables: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries().values():
        tables.setdefault(entry.path, []).append(entry)
    for path, table in tables.items():
        heading = f"## {title(path)}: `[{'.'.join(path)}]`" if path else "## The run: at the head of a file"
        rows = [_row(entry) for entry in table]
        parts.append(
            "\n".join([heading, "", "| setting | allowed values | default | meaning |", "|---|---|---|---|", *rows, ""])
        )
    return "\n".join(parts)


def _assignment(entry: Entry, value: Any) -> str:  # noqa: ANN401 - of the setting's type
    field = entry.field
    notes = "; ".join(note for note in (field.expected, field.setting.unit and f"in {field.setting.unit}") if note)
    shown = f"{entry.name} = {_to_toml_value(value)}"
    if value is None or (field.setting.holds_secret and HIDDEN in value):
        shown = f"# {entry.name} ={'' if value is None else f' {json.dumps(value)}  (its secret part is not shown)'}"
    return f"# {field.setting.help} ({notes})\n{shown}"


def _to_toml_value(value: Any) -> str:  # noqa: ANN401 - a plain value
    """A value on one line, as TOML has it; a table is an inline one."""
    if isinstance(value, dict):
        pairs = ", ".join(
            f"{json.dumps(name, ensure_ascii=False)} = {_to_toml_value(each)}" for name, each in value.items()
        )
        return f"{{{pairs}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_to_toml_value, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _row(entry: Entry) -> str:
    field = entry.field
    allowed = f"{field.expected}{f', in {field.setting.unit}' if field.setting.unit else ''}"
    # The row of a hyperparameter lists the algorithms that have it.
    having = f" ({', '.join(entry.defaults)})" if entry.path[:1] == (ALGORITHM,) else ""
    cells = (f"`{entry.name}`", allowed, default_in_words(entry), f"{field.setting.help}{having}")
    return "| " + " | ".join(cells) + " |"  # no cell contains a bar
