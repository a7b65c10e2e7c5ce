"""One actor process: play, push, wait for room, take the newest version, again and again."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ..common.process.clock import Every
from ..common.process.log import Log
from ..common.process.seeding import Role, generator, integer_seed, name_key
from .games.checks.game_errors import game_code
from .games.observation_fit import fitted_game
from .games.registry import make_game
from .games.self_play import SelfPlay
from .info_metrics import InfoMetrics
from .rollout import make_rollout
from .transport.blocking_connection import BlockingActorConnection
from .transport.heartbeat import WARNING
from .unusable_play import with_unusable_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ..common.process.shutdown import Stop
    from ..common.spec import RunSpec
    from .games.vector_game import VectorGame
    from .inference.policy import Policy
    from .rollout import Fragment, Rollout

_log = Log("actor")
_WARN_EVERY_S = 30.0


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
    warn: Callable[[str], None] | None = None,
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
        warn: called now and then with what is wrong with the game's numbers, if they cannot be trained on; None: only
            the log tells.

    Raises:
        ConfigError: if there is no such game. SpecMismatch: if it is not the run's game.
        GameError: if the game's own code raises an error.
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
        tell = _Warnings(game_name, warn)
        metrics = InfoMetrics(own_metrics, tell)
        rollout = _begin(game_name, game, spec, (name_key(actor), connection.join(spec)), metrics)
        for note in getattr(game, "notes", ()):
            tell(note)
        first = connection.policy(None, stop)
        _log.info("playing", actor=actor, game=spec.game.name, envs=envs)
        if first is not None:
            _play_on(connection, _Play(game_name, game, rollout, spec, metrics, tell), first, policy_lag, stop)
    finally:
        game.close()
        connection.leave()


def _begin(game_name: str, game: VectorGame, spec: RunSpec, seed_key: tuple[int, int], metrics: InfoMetrics) -> Rollout:
    """Begin the games, with random numbers that follow from the run's seed and the key."""
    rng = generator(spec.seed, Role.ACTIONS, *seed_key)
    with game_code(game_name):
        return make_rollout(game, spec, integer_seed(spec.seed, Role.GAME, *seed_key), rng, metrics)


def _play_on(connection: BlockingActorConnection, play: _Play, first: Policy, policy_lag: int, stop: Stop) -> None:
    """Play, push, wait for room, take the newest version, until `stop`; `first` is the version to begin with."""
    latest = first
    recent = deque([latest], maxlen=policy_lag + 1)
    while not stop.requested:
        fragments, beat = play.next(recent[0])
        connection.push(fragments, stop, beat)
        connection.wait_for_room(stop)
        if connection.spec.rollout.lock_step:
            connection.wait_for_newer(latest.pointer, stop)
        newest = connection.policy(latest, stop)
        if newest is not None and newest is not latest:
            latest = newest
            recent.append(newest)


class _Play:
    """The play of all copies of the game, ready to be sent."""

    def __init__(
        self,
        game_name: str,
        game: VectorGame,
        rollout: Rollout,
        spec: RunSpec,
        metrics: InfoMetrics,
        tell: Callable[[str], None],
    ) -> None:
        self._game_name, self._game, self._rollout, self._spec = game_name, game, rollout, spec
        self._metrics = metrics
        self._unusable = _UnusablePlay(tell)

    def next(self, policy: Policy) -> tuple[list[Fragment], Mapping[str, str]]:
        """Play on with a policy. Returns the fragments that were completed, and what else the heartbeat tells."""
        beat: dict[str, str] = {}
        if isinstance(self._game, SelfPlay):
            self._game.opponents.on_policy(policy)
            beat |= self._game.opponents.metrics()
        with game_code(self._game_name):
            fragments = self._rollout.play(policy)
        if self._metrics.names:
            beat[WARNING] = self._metrics.missing  # empty, too: fields of a heartbeat stay until they are replaced
        return self._unusable.taken_out(fragments, self._spec), beat


class _Warnings:
    """Tells what the game's author should know: in the log, and to the supervisor, on whose screen it is seen."""

    def __init__(self, game: str, warn: Callable[[str], None] | None) -> None:
        self._game, self._warn = game, warn

    def __call__(self, text: str) -> None:
        _log.warning(f"game {self._game}: {text}")
        if self._warn is not None:
            self._warn(f"game {self._game}: {text}")


class _UnusablePlay:
    """Play that cannot be trained on: told at once, and then now and then."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._due = tell, Every(_WARN_EVERY_S)

    def taken_out(self, fragments: list[Fragment], spec: RunSpec) -> list[Fragment]:
        """The fragments, with unusable columns in entries of their own, which the learner rejects and counts."""
        parts, problem = with_unusable_apart(fragments, spec.game)
        if problem and self._due.due():
            self._tell(f"{problem}: its steps are not trained on")
        # In lock step a version is played in one entry of each actor.
        return fragments if spec.rollout.lock_step else parts
