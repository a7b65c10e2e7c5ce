"""Makes a game from its name: a built-in, a Gymnasium id, or a user's own factory, with an opponent if it needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...common.errors import ConfigError
from ...common.spec import GameSpec
from ...common.wire import bot_model
from .checks.arguments import NO_ARGS, check_arguments, takes_copies
from .checks.checked_game import CheckedGame
from .checks.factory import of_copies, own_factory
from .checks.game_errors import game_code
from .connect_four import ConnectFour
from .self_play import RANDOM, SelfPlay
from .starcraft2_spec import NAME as STARCRAFT2
from .starcraft2_spec import SPEC as STARCRAFT2_SPEC
from .tinyzerg import TinyZerg
from .two_player_game import TwoPlayerGame, random_player

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .two_player_game import PlayerPolicy
    from .vector_game import VectorGame

_BUILT_IN: dict[str, Callable[[int], VectorGame | TwoPlayerGame]] = {"TinyZerg": TinyZerg, "ConnectFour": ConnectFour}
_AGAINST = "@"  # ConnectFour@lookahead: against that one player, instead of past versions of the policy
# Games that own their loop. A run can be made for one, but only the game itself can play it.
_OWN_LOOP = {bot_model.GAME.name: bot_model.GAME, STARCRAFT2: STARCRAFT2_SPEC}


def make_game(name: str, num_envs: int, args: Mapping[str, Any] = NO_ARGS, *, masked: bool | None = None) -> VectorGame:
    """Make `num_envs` copies of a game. A two-player game gets opponents: see `self_play`.

    Args:
        name: a built-in (TinyZerg, ConnectFour), a Gymnasium id (CartPole-v1), or module:factory. A factory with a
            parameter num_envs returns a VectorGame, a TwoPlayerGame or a gymnasium.vector.VectorEnv; a factory without
            it returns one gymnasium.Env and is called once for each copy. A two-player game can be followed by one of
            its scripted players, or the random one: ConnectFour@lookahead, ConnectFour@random.
        num_envs: at least 1.
        args: the game's arguments, by name: those of `gymnasium.make_vec`, or of the factory.
        masked: whether an environment of Gymnasium has action masks; None: the first reset tells. If its spec is asked
            for before that, it is reset for it alone.

    Raises:
        ConfigError: naming the game, if it cannot be made, or an argument that it does not take.
        GameError: if the game's own code raises an error. So do the game's methods.
    """
    if num_envs < 1:
        raise ConfigError(f"envs: {num_envs}, expected at least 1")
    plain, _, against = name.partition(_AGAINST)
    game = _make(plain, num_envs, args, masked=masked)
    if isinstance(game, TwoPlayerGame):
        return SelfPlay(game, against=(against, _player(game, name, against)) if against else None)
    if against:
        raise ConfigError(f"game: {name!r}, expected {plain} without {_AGAINST}{against}: it is not a two-player game")
    return game if plain in _BUILT_IN else CheckedGame(plain, game)


def evaluation_games(name: str, args: Mapping[str, Any] = NO_ARGS) -> list[str]:
    """The games that evaluate a policy: the game itself, or a two-player game against each of its scripted players."""
    plain, _, against = name.partition(_AGAINST)
    if against or not _may_be_for_two(plain):
        return [name]
    game = _make(plain, 1, args)
    game.close()
    if not isinstance(game, TwoPlayerGame):
        return [name]
    return [f"{name}{_AGAINST}{player}" for player in (RANDOM, *game.scripted_players)]


def is_self_play(name: str, args: Mapping[str, Any] = NO_ARGS) -> bool:
    """Whether the game's opponents are past versions of the policy."""
    return evaluation_games(name, args) != [name]


def _may_be_for_two(name: str) -> bool:
    """Whether a game may be one for two players, as far as its name and its factory tell."""
    factory = own_factory(name) if ":" in name else _BUILT_IN.get(name)
    return factory is not None and takes_copies(factory)


def _player(game: TwoPlayerGame, name: str, player: str) -> PlayerPolicy:
    players = {RANDOM: random_player(game.spec), **game.scripted_players}
    if player not in players:
        raise ConfigError(f"game: {name!r}, expected one of its players after {_AGAINST}: {', '.join(players)}")
    return players[player]


def _make(
    name: str, num_envs: int, args: Mapping[str, Any], *, masked: bool | None = None
) -> VectorGame | TwoPlayerGame:
    with game_code(name):
        return _made(name, num_envs, args, masked=masked)


def _made(name: str, num_envs: int, args: Mapping[str, Any], *, masked: bool | None) -> VectorGame | TwoPlayerGame:
    if name in _BUILT_IN:
        check_arguments(name, _BUILT_IN[name], args)
        return _BUILT_IN[name](num_envs)
    factory = own_factory(name) if ":" in name else None
    if name in _OWN_LOOP or isinstance(factory, GameSpec):
        raise ConfigError(
            f"game: {name!r}, expected a game that can be stepped. This one owns its loop: run broodmind up --client, "
            "and connect() from it; or broodmind actors where they know the game"
        )
    # Imported here because Gymnasium need not be installed for a user's own game.
    try:
        from . import gymnasium_adapter
    except ModuleNotFoundError as error:
        if factory is not None:
            check_arguments(name, factory, args)
            return of_copies(name, factory(num_envs=num_envs, **args))
        raise ConfigError(
            f"game: {name!r}, expected one of {', '.join(_BUILT_IN)} or module:factory. Games of Gymnasium need "
            f"broodmind[games] installed ({error})"
        ) from error
    return (
        gymnasium_adapter.from_factory(name, factory, num_envs, args, masked=masked)
        if factory
        else gymnasium_adapter.from_id(name, num_envs, args, masked=masked)
    )


def describe_game(name: str, args: Mapping[str, Any] = NO_ARGS) -> GameSpec:
    """A game's spec. Makes one copy of the game, unless it owns its loop: then the name is that of a `GameSpec`."""
    own = _OWN_LOOP.get(name) or (own_factory(name) if ":" in name else None)
    if isinstance(own, GameSpec):
        if args:
            raise ConfigError(f"game_args: {dict(args)}, expected none: {name} owns its loop")
        return own
    game = make_game(name, 1, args)
    spec = game.spec
    game.close()
    return spec
