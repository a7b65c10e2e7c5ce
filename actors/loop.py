"""One actor process: play, push, hold back, take the newest version; again and again."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ..common.process.log import Log
from ..common.process.seeding import Role, generator, integer_seed, name_key
from .games.observation_fit import fitted_game
from .games.registry import make_game
from .games.self_play import SelfPlay
from .rollout import make_rollout
from .transport.blocking_connection import BlockingActorConnection

if TYPE_CHECKING:
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
    hold_back: int = 0,
    journals: Path | None = None,
) -> None:
    """Play `envs` copies of a game for a run until `stop`.

    The games and the actions drawn follow from the run's seed and the actor's name, so that no two actors play the
    same; and, for one that comes back under its name, from the incarnation before, so that it plays other games now.

    With `hold_back` it plays that many versions behind the latest: staleness to order, for experiments. With
    `journals`, a folder, it notes there what has arrived, for `broodmind verify`.

    Raises:
        ConfigError: if there is no such game. SpecMismatch: if it is not the run's.
        RedisUnreachable, RedisDenied: if the first attempt to connect fails.
    """
    uplink = BlockingActorConnection(url, run, actor, journals)
    spec = uplink.read_spec(stop)
    if spec is None:
        return
    game = make_game(game_name, envs)
    try:
        game = fitted_game(game, spec)
        spec.check_game(game.spec)
        who = (name_key(actor), uplink.join(spec))
        rng = generator(spec.seed, Role.ACTIONS, *who)
        rollout = make_rollout(game, spec, integer_seed(spec.seed, Role.GAME, *who), rng)
        latest = uplink.policy(None, stop)
        held = deque([latest], maxlen=hold_back + 1)
        _log.info("playing", actor=actor, game=spec.game.name, envs=envs)
        while latest is not None and not stop.requested:
            policy = held[0] or latest
            if isinstance(game, SelfPlay):
                game.opponents.on_policy(policy)
                uplink.metrics = game.opponents.metrics()
            uplink.push(rollout.play(policy), stop)
            uplink.wait_for_room(stop)
            if spec.rollout.lock_step:
                uplink.wait_for_newer(latest.pointer, stop)
            newest = uplink.policy(latest, stop)
            if newest is not latest:
                latest = newest
                held.append(newest)
    finally:
        game.close()
        uplink.leave()
