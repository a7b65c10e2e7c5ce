"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ..common.spec import StateFit

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]

NO_PROGRESS_S = 300.0
DEFAULT_URL = "redis://127.0.0.1:6379"


def several(*options: Command) -> Command:
    """Options that belong together, as one decorator."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


run_options = several(
    click.option("--redis", "url", default=DEFAULT_URL, envvar="BROODMIND_REDIS", show_default=True, help="Server."),
    click.option("--run", default="default", envvar="BROODMIND_RUN", show_default=True, help="The run's name."),
)
game_option = click.option(
    "--game",
    default="TinyZerg",
    show_default=True,
    help="TinyZerg, ConnectFour, Gymnasium id, module:factory, or starcraft2.",
)
journal_option = click.option(
    "--journal",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for what has arrived, by the actors' word: `broodmind verify` holds the run against it.",
)
seed_option = click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of the whole run.")
goal_options = several(
    click.option("--until-return", type=float, help="Stop when the last 100 games reach this mean return."),
    click.option("--max-steps", type=click.IntRange(1), help="Stop after so many trained steps."),
    click.option("--max-seconds", type=click.FloatRange(0, min_open=True), help="Stop after so long."),
)
learning_options = several(
    click.option(
        "--algo", default="auto", show_default=True, type=click.Choice(["auto", "ppo", "impact", "vtrace", "reinforce"])
    ),
    click.option(
        "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the algorithm's; repeatable."
    ),
    click.option("--rate", type=click.FloatRange(0, min_open=True), help="Learning rate.  [default: the algorithm's]"),
    click.option("--batch-steps", type=click.IntRange(1), help="Steps an update.  [default: the algorithm's]"),
    click.option("--batch-games", type=click.IntRange(1), help="Whole games an update, for reinforce.  [default: 16]"),
    click.option("--unroll", type=click.IntRange(1), help="Steps a trajectory.  [default: the algorithm's]"),
    click.option("--hidden", default="64,64", show_default=True, help="Widths of the hidden layers."),
    click.option("--activation", default="tanh", show_default=True, type=click.Choice(["tanh", "relu"])),
    click.option("--shared", is_flag=True, help="One torso for policy and value function."),
    click.option("--normalise/--no-normalise", default=None, help="Observations.  [default: with continuous actions]"),
    click.option("--max-staleness", default=4, show_default=True, type=click.IntRange(0), help="In versions."),
    click.option("--max-age", default=3600.0, show_default=True, type=click.FloatRange(0), help="In seconds."),
    click.option(
        "--noise-correlation",
        type=click.FloatRange(0, 1, max_open=True),
        help="From step to step, of the noise that draws continuous actions.  [default: 0.9]",
    ),
    click.option("--lock-step", is_flag=True, help="Actors wait for each version: reproducible with a seed."),
    click.option(
        "--state-fit",
        default="exact",
        show_default=True,
        type=click.Choice(get_args(StateFit)),
        help="State vectors of another length: refused; the longer cut; or the shorter padded with zeros too.",
    ),
    click.option("--float16", is_flag=True, help="Observations travel as half floats."),
)
offline_options = several(
    click.option(
        "--accept-declared", is_flag=True, help="Take imported games too, which no version of the run played."
    ),
    click.option("--archive", type=click.Path(file_okay=False), help="Keep what is consumed as files in this folder."),
    click.option("--archive-mb", default=1024, show_default=True, type=click.IntRange(1), help="At most; oldest go."),
    click.option(
        "--init-from", type=click.Path(dir_okay=False), help="A model or checkpoint that a new run starts from."
    ),
)
supervision_options = several(
    click.option(
        "--no-progress-seconds",
        default=NO_PROGRESS_S,
        show_default=True,
        type=click.FloatRange(0),
        help="An actor that does not get on for so long is ended and started again; 0: never.",
    ),
    click.option(
        "--max-attempt-seconds",
        default=0.0,
        show_default=True,
        type=click.FloatRange(0),
        help="An actor that runs for so long is ended and started again; 0: never.",
    ),
    click.option(
        "--records", type=click.Path(dir_okay=False, path_type=Path), help="A file to add a line of JSON to an attempt."
    ),
)
starcraft2_options = several(
    click.option("--map", help="For starcraft2: a map's name."),
    click.option("--opponent", default="zerg:easy", show_default=True, help="For starcraft2: RACE:DIFFICULTY."),
    click.option(
        "--game-seconds",
        default=1200,
        show_default=True,
        type=click.IntRange(1),
        help="For starcraft2: a game is cut off at this game time, as truncated.",
    ),
)
actor_options = several(
    click.option("--envs", default=32, show_default=True, type=click.IntRange(1), help="Copies of the game a process."),
    click.option(
        "--hold-back", default=0, type=click.IntRange(0), help="Play so many versions behind, for experiments."
    ),
)
serve_options = several(
    click.option(
        "--serve",
        "address",
        metavar="HOST:PORT",
        help="Play no game, but serve games of other programs here; port 0 is any that is free. See docs/serve.md.",
    ),
    click.option(
        "--spool-dir", type=click.Path(file_okay=False), help="With --serve: where finished games wait for Redis."
    ),
    click.option("--lifeline", is_flag=True, hidden=True),
)
