"""`broodmind import`: pushes games that were played elsewhere into a run's streams."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...actors.transport.actor_names import process_name
from ...common.deprecated import IMPORT_KEYS, with_old_keys
from ...common.errors import ConfigError
from ...common.process.shutdown import stop_on_signal
from ...common.server.keys import Keys
from ..config.effective import server_url
from ..config.options import with_settings
from ..config.tree import Config

if TYPE_CHECKING:
    from ...actors.offline.bot_experience import ExperienceOptions
    from ...actors.offline.importer import ImportReport
    from ...common.spec import ObservationFit
    from ..config.given import Given


_EPISODE = re.compile(r"_ep(\d+)\.npz$")


@click.command("import")
@click.argument("paths", metavar="FILES...", nargs=-1, required=True, type=click.Path(path_type=Path))
@with_settings("run", "connection", "observation_fit")
@click.option(
    "--rewards-shift/--no-rewards-shift",
    default=True,
    show_default=True,
    help="Reward t of a file is the one before action t.",
)
@click.option("--behaviour", metavar="uniform|epsilon:E", help="The policy that chose the actions of exp_*.npz files.")
@click.option(
    "--model", type=click.Path(path_type=Path), help="For epsilon:E, the model of the actions that were not random."
)
@click.option("--name", help="Name of the actor that sends the games.  [default: import-HOST-PID]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_(given: Given, *, paths: tuple[Path, ...], name: str | None, as_json: bool, **reading: object) -> None:
    """Import games: exp_*.npz of the original bot, *.archive segments, or folders of these.

    The run's learner must have been started with --accept-imported. Invalid files are listed, all others are imported.
    If no file could be imported, the command ends with exit code 3.
    """
    files = expand(paths)
    understood = _reading(files, observation_fit=given.get("observation_fit"), **reading)  # type: ignore[arg-type]
    from ...actors.offline.importer import import_files

    actor = name or f"import-{process_name()}"
    with stop_on_signal() as stop:
        report = import_files(server_url(given), Keys(given.get("run", Config().run)), actor, files, understood, stop)
    click.echo(json.dumps(with_old_keys(report.to_json(), IMPORT_KEYS)) if as_json else _described(report))
    if not report.taken and not report.interrupted:
        sys.exit(ConfigError.exit_code)


def expand(paths: tuple[Path, ...]) -> list[Path]:
    """List the files to import: those named, and the experience files and segments in named folders, sorted by name."""
    from ...common.wire.archive_format import SUFFIX

    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(each for each in path.iterdir() if each.name.endswith((".npz", SUFFIX)))
        else:
            files.append(path)
    return files


def _reading(
    files: list[Path],
    *,
    rewards_shift: bool,
    observation_fit: ObservationFit | None,
    behaviour: str | None,
    model: Path | None,
) -> ExperienceOptions | None:
    """How to read experience files; None if there are none."""
    from ...common.wire.archive_format import SUFFIX

    if all(file.name.endswith(SUFFIX) for file in files):
        return None
    if behaviour is None:
        raise ConfigError(
            "behaviour: none, expected --behaviour uniform or --behaviour epsilon:E --model FILE, because experience "
            "files do not have the probabilities of their actions"
        )
    explored_less = [file for file in files if (episode := _EPISODE.search(file.name)) and int(episode[1]) > 0]
    if behaviour == "uniform" and explored_less:
        click.echo(
            f"{len(explored_less)} files such as {explored_less[0].name} are from later episodes of the bot: "
            "the later the episode, the less uniform were its actions",
            err=True,
        )
    from ...actors.offline.behaviour_policy import parse_behaviour
    from ...actors.offline.bot_experience import ExperienceOptions
    from ...common.wire.bot_model import read_bot_model

    return ExperienceOptions(
        parse_behaviour(behaviour, read_bot_model(model) if model else None), rewards_shift, observation_fit
    )


def _described(report: ImportReport) -> str:
    lines = [f"rejected {file}: {why}" for file, why in report.rejected.items()]
    lines += [f"skipped {count} archived entries: {reason}" for reason, count in report.skipped.items()]
    ended = "interrupted: " if report.interrupted else ""
    lines.append(
        f"{ended}files taken {report.taken}, rejected {len(report.rejected)}   games {report.games}   steps "
        f"{report.steps}   entries {report.entries}"
    )
    return "\n".join(lines)
