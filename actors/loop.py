"""One actor process: play, push, wait for room, take the newest version, again and again."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ..common.process.log import Log
from ..common.process.seeding import Role, generator, integer_seed, name_key
from .games.observation_fit import fitted_game
from .games.registry import make_game
from .games.self_play import SelfPlay
from .rollout import make_rollout
from .transport.blocking_connection import BlockingActorConnection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..common.process.shutdown import Stop

_log = Log("actor")


def act(
    url: str,
    run: str,
    actor: str,
    game_name: str,
    envs: int,
    stop: Stop,
    policy_lag: int = 0,
    journals: Path | None = None,
    game_args: Mapping[str, Any] | None = None,
    own_metrics: Sequence[str] = (),
) -> None:
    """Play `envs` copies of a game for a run until `stop`.

    The random numbers of the games and the actions are derived from the run's seed and the actor's name, so that no two
    actors play the same games, and from the previous incarnation, so that a restarted actor does not repeat its games.

    Args:
        url: the server's URL.
        run: the run's name.
        actor: this actor's name.
        game_name: the game's name, in a form that `make_game` accepts.
        envs: the number of copies of the game, which are played side by side.
        stop: ends the loop.
        policy_lag: the number of versions that the policy is older than the latest one, for experiments with staleness.
        journals: a folder for the journal of acknowledged entries, for `broodmind verify`; None: no journal.
        game_args: the arguments of the game.
        own_metrics: names of numbers in the infos of games that ended, to be sent with their returns.

    Raises:
        ConfigError: if there is no such game. SpecMismatch: if it is not the run's game.
        RedisUnreachable, RedisDenied: if the first attempt to connect fails.
    """
    connection = BlockingActorConnection(url, run, actor, journals)
    spec = connection.read_spec(stop)
    if spec is None:
        return
    game = make_game(game_name, envs, game_args or {}, masked=spec.game.masked)
    try:
        game = fitted_game(game, spec)
        spec.check_game(game.spec)
        seed_key = (name_key(actor), connection.join(spec))
        rng = generator(spec.seed, Role.ACTIONS, *seed_key)
        rollout = make_rollout(game, spec, integer_seed(spec.seed, Role.GAME, *seed_key), rng, own_metrics)
        latest = connection.policy(None, stop)
        recent = deque([latest], maxlen=policy_lag + 1)
        _log.info("playing", actor=actor, game=spec.game.name, envs=envs)
        while latest is not None and not stop.requested:
            policy = recent[0] or latest
            metrics = None
            if isinstance(game, SelfPlay):
                game.opponents.on_policy(policy)
                metrics = game.opponents.metrics()
            connection.push(rollout.play(policy), stop, metrics)
            connection.wait_for_room(stop)
            if spec.rollout.lock_step:
                connection.wait_for_newer(latest.pointer, stop)
            newest = connection.policy(latest, stop)
            if newest is not latest:
                latest = newest
                recent.append(newest)
    finally:
        game.close()
        connection.leave()
