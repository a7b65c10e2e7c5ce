"""The command `broodmind check-game`."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any

import click

from ...common.errors import BroodmindError, ConfigError
from ...common.process.process_setup import prepare_to_compute
from ..config.options import SettingsCommand, with_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ...actors.games.vector_game import VectorGame
    from ...common.spec import GameSpec
    from ..config.given import Given
    from .findings import Finding

_COPIES = 4
_SEED = 1


@click.command("check-game", cls=SettingsCommand)
@click.argument("game")
@with_settings("game_args", "seed")
@click.option("--seconds", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Time to play.")
def check_game(given: Given, *, game: str, seconds: float) -> None:
    """Play GAME as a run would, with random actions, and tell what is wrong with it.

    GAME is a name as for --game. Ends with exit code 3 if there is an error.
    """
    prepare_to_compute()
    from .findings import error

    found, report = False, sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what the game prints
        try:
            for finding in findings(game, given.get("game_args", {}), given.get("seed", _SEED), seconds):
                click.echo(str(finding), report)
                found = found or finding.level == "error"
        except BroodmindError as raised:
            click.echo(str(error("game", " ".join(str(raised).split()))), report)
            found = True
    if found:
        sys.exit(ConfigError.exit_code)


def findings(name: str, args: Mapping[str, Any], seed: int, seconds: float) -> Iterator[Finding]:
    """Check a game. Yields the findings as they are made.

    Raises:
        ConfigError, GameError: if the game cannot be made or played.
    """
    from ...actors.games.registry import evaluation_games, make_game
    from . import child, play
    from .findings import ok, warning

    before = set(threading.enumerate())
    game = make_game(name, 1, args)
    spec = game.spec
    yield ok("game", f"{name} is made{f' with {dict(args)}' if args else ''}")
    yield from (ok("as seen", line) for line in in_words(spec))
    yield from (warning("wrappers", note) for note in getattr(game, "notes", ()))
    if players := [each.partition("@")[2] for each in evaluation_games(name, args) if "@" in each and "@" not in name]:
        yield ok("players", f"a game for two: learned against past versions, evaluated against {', '.join(players)}")
    together = child.made_again(name, args, spec)
    game.close()
    yield from child.findings_of(together, child.made_again(name, args, spec) if together else "")
    if (make_one := _single(name, args)) is not None:
        from . import single_env

        yield from single_env.of_gymnasium(make_one, masked=spec.masked)
        yield from single_env.of_steps(name, make_one, seed)
    copies, problem = _COPIES, ""
    try:
        make_game(name, copies, args).close()
    except BroodmindError as raised:
        copies, problem = 1, str(raised)
        yield warning("copies", f"one process can have only one copy: {problem}; use --envs 1")

    def make() -> VectorGame:
        return make_game(name, copies, args, masked=spec.masked)

    yield from play.reproduces(make, seed)
    played = make()
    try:
        yield from play.findings_of(play.play(played, seed, seconds))
    finally:
        played.close()
    yield from play.threads_left(before)


def in_words(spec: GameSpec) -> Iterator[str]:
    """What Broodmind makes of a game."""
    dtype = "bytes, divided by 255 by the network" if spec.observation_dtype == "uint8" else "numbers"
    yield f"observation {list(spec.observation_shape)} of {dtype}"
    if spec.observation_parts:
        parts = (f"{part.name} ({part.kind.replace('_', '-')}, {part.features})" for part in spec.observation_parts)
        yield f"flattened from {', '.join(parts)}"
    sizes = spec.actions.sizes
    if not sizes:
        yield f"actions: {spec.actions.outputs} numbers, scaled to their bounds"
    else:
        yield f"actions: {' x '.join(map(str, sizes))} options{', with a mask' if spec.masked else ', without a mask'}"


def _single(name: str, args: Mapping[str, Any]) -> Callable[[], Any] | None:
    """What makes one environment of Gymnasium by itself; None if the game is no such one."""
    try:
        from ...actors.games.gymnasium_adapter import single_env
    except ModuleNotFoundError:
        return None
    return single_env(name, args)
