"""`broodmind runs`: the runs in a folder, as a table."""

from __future__ import annotations

import calendar
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .run_folder import last_line, read_object
from .run_settings import SEED, given_to, in_words, run_folders, settings_of, telling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .run_folder import RunFolder

_COLUMNS = {"run": "<", "when": "<", "steps": ">", "games": ">", "return": ">", "best": ">", SEED: ">", "settings": "<"}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, with all settings of each run.")
def runs(*, folder: Path, as_json: bool) -> None:
    """List the runs in FOLDER, the oldest first, with the settings in which they differ.

    `return` is the mean return of the last 100 training games, `best` the mean of the evaluation that chose the best
    version.
    """
    folders = run_folders([folder])
    found = [about(each) for each in folders]
    found.sort(key=lambda run: run["when_s"])
    if as_json:
        click.echo(json.dumps(found))
        return
    names = telling([run["settings"] for run in found], given_to(folders))
    for line in table([_row(run, names) for run in found]):
        click.echo(line)


def about(folder: RunFolder) -> dict[str, Any]:
    """What is known of a run: its settings, and how far it is."""
    newest, best = last_line(folder.metrics), read_object(folder.about_best)
    evaluation = best.get("evaluation")
    return {
        "run": str(folder.path),
        "when_s": round(_began_s(folder)),
        "steps": newest.get("steps"),
        "games": newest.get("games"),
        "return_mean": newest.get("return_mean"),
        "best": evaluation.get("mean") if isinstance(evaluation, dict) else None,
        "best_version": best.get("version"),
        "settings": settings_of(folder),
    }


def table(rows: list[dict[str, str]]) -> Iterable[str]:
    """The lines of a table. A column that is empty in all rows is left out."""
    shown = [name for name in _COLUMNS if any(row[name] for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in shown}
    for row in [dict(zip(shown, shown, strict=True)), *rows]:
        yield "  ".join(f"{row[name]:{_COLUMNS[name]}{widths[name]}}" for name in shown).rstrip()


def _row(run: dict[str, Any], names: list[str]) -> dict[str, str]:
    return {
        "run": Path(run["run"]).name,
        "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(run["when_s"])),
        "steps": _count(run["steps"]),
        "games": _count(run["games"]),
        "return": _number(run["return_mean"]),
        "best": _number(run["best"]),
        SEED: _count(run["settings"].get(SEED)),
        "settings": in_words(run["settings"], names),
    }


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else ""


def _began_s(folder: RunFolder) -> float:
    """When the run was first started, in seconds since 1970; without a record, when its folder was changed last."""
    starts: Any = read_object(folder.about).get("starts")
    try:
        return float(calendar.timegm(time.strptime(starts[0]["at"], "%Y-%m-%dT%H:%M:%SZ")))
    except (TypeError, KeyError, IndexError, ValueError):
        return folder.path.stat().st_mtime
