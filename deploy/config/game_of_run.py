"""The game of a learner: one that can be made, a spec in a module or in the configuration, or a client's offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.errors import ConfigError
from .effective import OFFERED
from .given import COMMAND_LINE
from .tree import Config

if TYPE_CHECKING:
    from ...common.process.shutdown import Stop
    from ...common.spec import GameSpec
    from .given import Given


def check_game_spec(given: Given) -> None:
    """Raise ConfigError where a game is named on the command line beside a table that describes another."""
    if given.get("game_spec") and given.sources.get("game") == COMMAND_LINE:
        raise ConfigError(f"game: {given.values['game']!r} beside a game_spec, expected one of them")


def known_game(given: Given) -> GameSpec | None:
    """The spec of the run's game; None where a client offers it.

    Raises:
        ConfigError: naming the game, if there is no such, or the field of `game_spec` that is wrong.
    """
    from ...actors.games.registry import describe_game
    from ...common.game_offer import game_from_table

    if table := given.get("game_spec"):
        return game_from_table(table)
    name = given.get("game", Config().game)
    return None if name == OFFERED else describe_game(name, given.get("game_args", {}))


def is_self_play(given: Given) -> bool:
    """Whether the opponents are past versions of the policy. Raises ConfigError if there is no such game."""
    from ...actors.games.registry import is_self_play as plays_itself

    name = given.get("game", Config().game)
    if given.get("game_spec") or name == OFFERED:
        return False
    return plays_itself(name, given.get("game_args", {}))


def game_of_run(given: Given, url: str, stop: Stop) -> GameSpec | None:
    """Like `known_game`, but waits for an offer; None if the stop was requested meanwhile."""
    from ...learner.persistence.offered_game import offered_game

    run = given.get("run", Config().run)
    return known_game(given) or offered_game(url, run, stop, given.get("checkpoint_dir"))
