"""The command line: the only place that turns options into configuration, and errors into exit codes."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import click

from ..common.errors import BroodmindError
from ..common.process.log import log_to_stderr
from ..common.process.process_setup import prepare_to_compute
from ..common.process.shutdown import Stop, stop_on_signal, stop_with_parent
from .access.acl import acl
from .local.import_games import import_
from .options import (
    actor_options,
    game_option,
    goal_options,
    journal_option,
    learning_options,
    offline_options,
    run_options,
    seed_option,
    serve_options,
    starcraft2_options,
    supervision_options,
)
from .records.export import export

if TYPE_CHECKING:
    from pathlib import Path


def main() -> None:
    """Run the command line; an error of ours is one line on standard error and an exit code of its own."""
    try:
        cli.main(prog_name="broodmind", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except BroodmindError as error:
        click.echo(f"broodmind: {' '.join(str(error).split())}", err=True)
        sys.exit(error.exit_code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BROODMIND"})
@click.version_option(package_name="broodmind")
@click.option("-v", "--verbose", is_flag=True, help="More log lines.")
def cli(*, verbose: bool) -> None:
    """Many game actors play, one mind learns."""
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)


@cli.command()
@run_options
@game_option
@seed_option
@goal_options
@learning_options
@click.option("--checkpoint-dir", type=click.Path(file_okay=False), help="Where to keep the last versions as files.")
@offline_options
@click.option("--lease-ttl", default=5.0, show_default=True, type=click.FloatRange(0.2), help="Seconds.")
@click.option("--standby", is_flag=True, help="Wait for another learner's end, as long as it takes.")
@click.option("--lifeline", is_flag=True, hidden=True)
def learner(*, url: str, run: str, lifeline: bool, **options: Any) -> None:  # noqa: ANN401 - click's
    """Run the one learner of a run, until Ctrl-C."""
    prepare_to_compute()  # before numpy is imported, which the next lines do
    from ..learner.loop import learn
    from .settings import learner_settings

    spec, config = learner_settings(**options)
    with stop_on_signal() as stop:
        _follow(stop, lifeline=lifeline)
        learn(url, run, spec, config, stop)


@cli.command()
@run_options
@game_option
@actor_options
@journal_option
@starcraft2_options
@click.option("--actors", default=1, show_default=True, type=click.IntRange(1), help="Actor processes.")
@click.option("--name", help="The actors' names begin with this.  [default: host and process id]")
@supervision_options
@serve_options
@click.pass_context
def actors(context: click.Context, /, *, address: str | None, lifeline: bool, **options: Any) -> None:  # noqa: ANN401
    """Run actors of a run, each in a process of its own, until Ctrl-C."""
    prepare_to_compute()
    from .local.actors import run_actors
    from .local.serve import check_options, serve_games

    check_options(context)
    if address is None:
        del options["spool_dir"]
        run_actors(**options)
        return
    with stop_on_signal() as stop:
        _follow(stop, lifeline=lifeline)
        chosen = {name: options[name] for name in ("url", "run", "name", "records", "spool_dir", "journal")}
        serve_games(address=address, stop=stop, **chosen)


@cli.command(hidden=True)
@run_options
@game_option
@actor_options
@journal_option
@starcraft2_options
@click.option("--name", required=True)
def actor(**options: Any) -> None:  # noqa: ANN401 - click's
    """Run one actor process; `actors` and `up` start these."""
    prepare_to_compute()
    from .local.actors import run_actor

    run_actor(**options)


@cli.command()
@run_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(*, url: str, run: str, as_json: bool) -> None:
    """Show where a run stands: version, counters, actors and the lag of each stream."""
    from .observe.status import show_status

    show_status(url, run, as_json=as_json)


@cli.command()
@run_options
@journal_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(*, url: str, run: str, journal: Path | None, as_json: bool) -> None:
    """Prove that nothing was lost, doubled or miscounted; on a live run too. Ends with code 12 if something was."""
    from .audit.verify import verify_run

    verify_run(url, run, journal, as_json=as_json)


@cli.command()
@click.option("--redis", "url", envvar="BROODMIND_REDIS", help="A server.  [default: an embedded one]")
@click.option("--run", default="default", envvar="BROODMIND_RUN", show_default=True, help="The run's name.")
@game_option
@seed_option
@goal_options
@learning_options
@actor_options
@click.option("--actors", default=2, show_default=True, type=click.IntRange(1), help="Actor processes.")
@click.option(
    "--eval-episodes", default=100, show_default=True, type=click.IntRange(1), help="Games of the evaluation."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False),
    help="For picture, checkpoints, logs; checkpoints in it are gone on with.  [default: runs/RUN-TIME]",
)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on standard output.")
def up(*, url: str | None, run: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - click's
    """Put a whole run up on this machine: server, learner, actors; watch it, then evaluate what it learnt."""
    prepare_to_compute()
    from .local.up import run_up

    sys.exit(run_up(url, run, as_json=as_json, **options))


cli.add_command(acl)
cli.add_command(export)
cli.add_command(import_)


def _follow(stop: Stop, *, lifeline: bool) -> None:
    if lifeline:
        stop_with_parent(stop)


if __name__ == "__main__":
    main()
