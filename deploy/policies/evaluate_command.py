"""`broodmind evaluate`: plays whole games with a trained policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...common.process.process_setup import prepare_to_compute
from ...common.process.standard_output import take_standard_output
from ..config.options import SettingsCommand, with_settings

if TYPE_CHECKING:
    from ..config.given import Given
    from .evaluation import Evaluation

_INDEX = (2,)  # other games than those of `up`
_MAX_EPISODE_STEPS = 100_000


@click.command(cls=SettingsCommand)
@click.argument("path", type=click.Path(path_type=Path))
@with_settings("game", "game_args", "seed")
@click.option(
    "--version", help="With a run's folder: best, last or a number.  [default: best if there is one, else last]"
)
@click.option("--episodes", type=click.IntRange(1), default=100, show_default=True, help="Number of games.")
@click.option("--sample", is_flag=True, help="Draw actions as in training, instead of taking the most probable ones.")
@click.option(
    "--max-episode-steps",
    type=click.IntRange(1),
    default=_MAX_EPISODE_STEPS,
    show_default=True,
    help="Cut a game off that has not ended after this many steps.",
)
@click.option("--envs", type=click.IntRange(1), default=32, show_default=True, help="Games played side by side.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    given: Given,
    *,
    path: Path,
    version: str | None,
    episodes: int,
    sample: bool,
    max_episode_steps: int,
    envs: int,
    as_json: bool,
) -> None:
    """Play whole games with the policy in PATH: a checkpoint, a run's folder, or an exported npz file.

    The game is that of the policy's run, if --game names no other. The same seed plays the same games.
    """
    prepare_to_compute()
    output = take_standard_output()  # whatever the game prints
    from .evaluation import Plan, evaluations
    from .loading import load
    from .run_game import run_game

    policy = load(path, version)
    game = run_game(given, path, policy)
    plan = Plan(episodes, given.get("seed", 1), _INDEX, sample, envs, max_episode_steps)
    played = evaluations(policy.for_actors(), game.name, plan, game.args)
    about = {
        "path": str(path),
        "epoch": policy.epoch,
        "version": policy.version,
        "game": game.name,
        "game_args": dict(game.args),
        "seed": plan.seed,
        "greedy": not sample,
    }
    if as_json:
        found = {name: each.to_json() for name, each in played.items()}
        more = {"evaluations": found} if len(found) > 1 else {}
        click.echo(json.dumps({**about, **next(iter(found.values())), **more}), output)
        return
    click.echo(
        f"version {policy.version} of epoch {policy.epoch}, {game.name}, {'sampled' if sample else 'greedy'}, "
        f"seed {plan.seed}",
        output,
    )
    for name, each in played.items():
        click.echo(in_words(each, by=f" by {name}" if len(played) > 1 else ""), output)


def in_words(evaluation: Evaluation, by: str = "") -> str:
    """The results in one line."""
    found: dict[str, Any] = evaluation.to_json()
    words = f"mean return{by} {found['mean']}"
    if found["ci95"] is not None:
        words += f" (95 % confidence interval {found['ci95'][0]} to {found['ci95'][1]}, Student's t)"
    words += (
        f", standard deviation {found['std']}, {evaluation.episodes} games of {found['length_mean']} steps on average"
    )
    if evaluation.wins is not None:
        words += f", {evaluation.wins} won"
    if evaluation.cut_off:
        words += f"; {evaluation.cut_off} games did not end and were cut off, and their copies played no further one"
    if evaluation.not_finite:
        words += f"; no mean, as the game gave rewards that are not finite numbers in {evaluation.not_finite} games"
    return words
