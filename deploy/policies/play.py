"""`broodmind play`: shows games of a trained policy, as a film or as text."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...common.errors import ConfigError
from ...common.process.process_setup import prepare_to_compute
from ..config.options import SettingsCommand, with_settings
from .film import GIF, check_name, write_film

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ...actors.games.vector_game import VectorGame
    from ...actors.inference.policy import Policy as ActorPolicy
    from ..config.given import Given
    from .evaluation import Plan

_INDEX = (3,)  # other games than those of `up` and `evaluate`
_FPS = 30.0  # of a film whose game does not say
_TEXT_FPS = 4.0
_RENDER_MODE = "render_mode"


@click.command(cls=SettingsCommand)
@click.argument("path", type=click.Path(path_type=Path))
@with_settings("game", "game_args", "seed")
@click.option("--version", help="With a run's folder: best, last or a number.  [default: best, else last]")
@click.option("--episodes", type=click.IntRange(1), default=1, show_default=True, help="Number of games.")
@click.option("--sample", is_flag=True, help="Draw actions as in training, instead of taking the most probable ones.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The film: a file name that ends in .gif or .mp4.  [default: GAME-VERSION.gif; text goes to the terminal]",
)
@click.option("--text", is_flag=True, help="Show the game as text (render mode ansi) where it has both forms.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Images in a second.  [default: as the game says]")
@click.option(
    "--max-episode-steps", type=click.IntRange(1), default=10_000, show_default=True, help="Cut a longer game off."
)
def play(
    given: Given,
    *,
    path: Path,
    version: str | None,
    episodes: int,
    sample: bool,
    out: Path | None,
    text: bool,
    fps: float | None,
    max_episode_steps: int,
) -> None:
    """Play games with the policy in PATH, and show them: as a film (GIF or MP4), or text games on the terminal.

    PATH is a checkpoint, a run's folder, or an exported npz file. The game is that of the policy's run, if --game names
    no other. Films need broodmind[film].
    """
    prepare_to_compute()
    from ...actors.games.observation_fit import fitted_game
    from ...actors.games.registry import evaluation_games
    from .evaluation import Plan
    from .loading import load
    from .run_game import run_game

    if out is not None:
        check_name(out)
        if text:
            raise ConfigError(f"out: {str(out)!r} with --text, expected one of the two")
    policy = load(path, version)
    chosen = run_game(given, path, policy)
    name = evaluation_games(chosen.name, chosen.args)[-1]  # a two-player game: against its last scripted player
    shown = _make(name, chosen.args, "ansi" if text else "rgb_array")
    try:
        game = fitted_game(shown, policy.spec)
        policy.spec.check_game(game.spec)
        plan = Plan(episodes, given.get("seed", 1), _INDEX, sample, max_episode_steps=max_episode_steps)
        frames = _frames(policy.for_actors(), game, getattr(shown, "render", lambda: None), plan)
        first = next(frames)
        if first is None:
            raise ConfigError(
                f"game: {name!r} shows nothing, expected render_mode='rgb_array' or 'ansi' (a factory with a parameter "
                "render_mode gets it), or a method render()"
            )
        if text and not isinstance(first, str):
            raise ConfigError(f"text: {name!r} has no text form, expected a game with the render mode ansi")
        if isinstance(first, str):
            _to_terminal(first, frames, fps or _fps_of(shown) or _TEXT_FPS)
            return
        if out is None:
            out = Path(f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}-{policy.version}{GIF}")
        write_film(out, _and_then(first, frames), fps or _fps_of(shown) or _FPS)
        click.echo(f"written to {out}", err=True)
    finally:
        shown.close()


def _make(name: str, args: Mapping[str, Any], mode: str) -> VectorGame:
    """One copy of the game, with the render mode if it takes one."""
    from ...actors.games.registry import make_game

    if _RENDER_MODE in args:
        return make_game(name, 1, args)
    try:
        return make_game(name, 1, {**args, _RENDER_MODE: mode})
    except ConfigError as error:
        if not str(error).startswith(f"game_args: {_RENDER_MODE}"):
            raise
        return make_game(name, 1, args)


def _frames(policy: ActorPolicy, game: VectorGame, render: Callable[[], Any], plan: Plan) -> Iterator[Any]:
    """Play games, and yield what `render` shows before the first step and after each. Says how each game ended."""
    import numpy as np

    from ...actors.inference.exploration_noise import make_noise
    from ...common.process.seeding import Role, generator, integer_seed

    rng, noise = generator(plan.seed, Role.EVALUATION, *plan.index, 0), make_noise(policy.spec.rollout)
    step = game.reset(integer_seed(plan.seed, Role.EVALUATION, *plan.index))
    yield _rendered(render)
    for episode in range(plan.episodes):
        gained, length, over = 0.0, 0, False
        while not over and length < plan.max_episode_steps:
            if plan.sample:
                actions, _ = policy.act(step.observations, step.masks, rng, noise)
            else:
                actions = policy.best(step.observations, step.masks)
            step = game.step(actions)
            gained, length = gained + float(step.rewards[0]), length + 1
            over = bool(step.terminated[0] | step.truncated[0])
            yield _rendered(render)
        won = ", won" if over and game.spec.wins and step.wins is not None and step.wins[0] else ""
        click.echo(f"game {episode + 1}: return {gained:g} in {length} steps{won if over else ', cut off'}", err=True)
        if not over:
            return  # a VectorGame has no way to begin the next game before this one has ended
        if episode + 1 < plan.episodes:
            step = game.step(actions)  # only resets the game
            if noise is not None:
                noise.restart(np.ones(1, np.bool_))
            yield _rendered(render)


def _rendered(render: Callable[[], Any]) -> Any:  # noqa: ANN401 - an image, text or nothing
    try:
        return render()
    except NotImplementedError:  # Gymnasium's, of an environment without the method
        return None
    except ModuleNotFoundError as error:
        raise ConfigError(f"game: rendering needs {error.name}, expected it to be installed") from error
    except Exception as error:
        if type(error).__name__ != "DependencyNotInstalled":  # of Gymnasium, which need not be installed
            raise
        raise ConfigError(
            f"game: {error}; pip install 'broodmind[film]' has it for Gymnasium's classic games"
        ) from error


def _to_terminal(first: str, frames: Iterator[Any], fps: float) -> None:
    for shown in _and_then(first, frames):
        click.echo(f"{shown}\n")
        if sys.stdout.isatty():
            time.sleep(1 / fps)


def _and_then(first: Any, frames: Iterator[Any]) -> Iterator[Any]:  # noqa: ANN401 - an image or text
    yield first
    yield from frames


def _fps_of(game: VectorGame) -> float | None:
    found: float | None = getattr(game, "render_fps", None)
    return found
