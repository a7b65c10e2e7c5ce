"""The client for a game that owns its loop: `connect`, and the agent it returns.

Two threads work behind it: the desk takes in finished games, the courier owns Redis. What the game calls only computes,
or leaves something for one of them to find.
"""

from __future__ import annotations

import atexit
import itertools
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...common.actions import Discrete
from ...common.errors import ConfigError, SpecMismatch
from ...common.process.clock import monotonic_s, now_ms
from ...common.process.log import Log
from ...common.process.seeding import Role, generator, name_key
from ...common.server.keys import check_name
from ..games.observation_fit import fitted_spec
from ..transport.actor_names import host_name, process_name
from ..transport.stream_connection import ActorConnection
from .encoder_thread import EncoderThread
from .episode import Episode, ErrorPolicy, FinishedEpisode
from .fallback_policy import flags, uniform
from .send_queue import Limits, SendQueue
from .sender_thread import SenderThread
from .spool import Spool, first_free

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from ...common.actions import ActionSpace
    from ...common.spec import GameSpec, RunSpec
    from ..inference.batched_inference import Action
    from .sender_thread import Connection

_log = Log("client")
_names = itertools.count()

_EXIT_S = 2.0  # what a process may take to leave after its last game
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Status:
    """What an agent is about; figures are since its process began."""

    actor: str
    connection: Connection
    problem: str  # the last error, until it is over; empty where there is none
    epoch: int
    version: int  # that the next episode will be played with; 0: none yet
    playing: int  # episodes begun and not ended
    wins: int
    losses: int
    ties: int
    truncated: int
    aborted: int  # among them those whose data could not be used
    untrained: int  # ended well, and were played without a policy or without an action
    queued: int  # to be trained on, and not yet in Redis
    spooled: int  # of these, on disk
    sent: int  # acknowledged by Redis
    dropped: int  # for want of room


def connect(
    url: str,
    run: str = "default",
    *,
    name: str | None = None,
    game: GameSpec | None = None,
    actions: ActionSpace | int | None = None,
    fallback: Callable[[Any, Any], Action] | None = None,
    records: str | Path | None = None,
    journal: str | Path | None = None,
    spool_dir: str | Path | None = None,
    limits: Limits | None = None,
    seed: int | None = None,
) -> Agent:
    """Begin to play for a run. Returns at once; Redis may be anywhere, or nowhere yet.

    Args:
        url: of the server: redis://, rediss:// or unix://.
        run: the run's name.
        name: this process's among the run's actors. By default host and process id; with a spool, host and the
            first number that no other process on this machine has, so that a restart finds its spool again.
        game: the arrays of the game, to be held against the run's.
        actions: what an action is, or the number of actions to choose from: for playing without a policy.
        fallback: called with observation and mask where there is no policy yet; by default actions are drawn uniformly.
        records: a file to which each attempt is appended as a line of JSON.
        journal: a folder for the actor's journal, by which `broodmind verify` finds what was lost.
        spool_dir: a folder where finished games wait for Redis; a process killed meanwhile is succeeded by the next.
        limits: how much may wait; beyond, the oldest games are dropped, and counted.
        seed: makes the actions drawn reproducible, given the same versions and observations.

    Raises:
        ConfigError: for arguments that cannot be; never for anything about the network.
    """
    if isinstance(actions, int):
        actions = Discrete(actions)
    if game is not None and actions not in {None, game.actions}:
        raise ConfigError(f"actions: {actions}, expected {game.actions} as the game has, or none")
    if seed is not None and seed < 0:
        raise ConfigError(f"seed: {seed}, expected at least 0")
    spool = None
    if spool_dir is not None:
        folder = Path(spool_dir) / check_name("run", run)
        if name is None:
            name, spool = first_free(folder, host_name())
        else:
            spool = Spool(folder / check_name("name", name))
    elif name is None:
        number = next(_names)
        name = process_name() + (f"-{number}" if number else "")
    agent = Agent(
        ActorConnection(url, run, name, Path(journal) if journal is not None else None),
        SendQueue(limits or Limits(), spool),
        game,
        actions if game is None else game.actions,
        fallback,
        Path(records) if records is not None else None,
        secrets.randbits(64) if seed is None else seed,
    )
    agent.start()
    return agent


class Agent:
    """One process's place in a run, for any number of games at a time, from any of its threads."""

    def __init__(
        self,
        line: ActorConnection,
        backlog: SendQueue,
        game: GameSpec | None,
        actions: ActionSpace | None,
        fallback: Callable[[Any, Any], Action] | None,
        records: Path | None,
        seed: int,
    ) -> None:
        self.actor = line.actor
        self._game, self._actions, self._fallback, self._seed = game, actions, fallback, seed
        self._backlog = backlog
        self._desk = EncoderThread(self.actor, backlog, records)
        self._courier = SenderThread(line, backlog, self._check)
        self._began_ms = now_ms()
        self._numbers = itertools.count(1)
        self._open: dict[str, Episode] = {}
        self._manners = ErrorPolicy()
        self._spare_rng = np.random.default_rng(seed)
        self._told = False

    def start(self) -> None:
        """Let the threads begin."""
        self._desk.start()
        self._courier.start()
        atexit.register(self.close, _EXIT_S)

    def episode(self, **labels: object) -> Episode:
        """Begin a game; it is played with the newest version known now, to its end.

        Use it in a with statement, or call `end` or `abort` yourself.

        Args:
            labels: what the record shall say of it: map, opponent, ...
        """
        return self.begin(labels)

    def begin(
        self,
        labels: Mapping[str, object],
        fallback: Callable[[Any, Any], Action] | None = None,
        manners: ErrorPolicy | None = None,
    ) -> Episode:
        """As `episode`, for whoever plays games of several minds: with a fallback and strictness of their own."""
        manners = manners or self._manners
        if self._backlog.closed:
            manners.raise_or_log("episode: begun after the agent was closed, expected before")
        number = next(self._numbers)
        episode = Episode(
            f"{self.actor}-{self._began_ms}-{number}",
            labels,
            self._courier.policy,
            fallback or self._substitute,
            generator(self._seed, Role.ACTIONS, name_key(self.actor), number),
            manners,
            self._over,
        )
        self._open[episode.id] = episode
        return episode

    @property
    def spec(self) -> RunSpec | None:
        """What the run is; None as long as nobody has said it."""
        return self._courier.spec

    @property
    def status(self) -> Status:
        """As of now; finished games show as soon as the desk has taken them in."""
        policy, outcomes = self._courier.policy, self._desk.outcomes
        return Status(
            actor=self.actor,
            connection=self._courier.connection,
            problem=self._courier.problem,
            epoch=policy.pointer.epoch if policy else 0,
            version=policy.pointer.version if policy else 0,
            playing=len(self._open),
            wins=outcomes["win"],
            losses=outcomes["loss"],
            ties=outcomes["tie"],
            truncated=outcomes["truncated"],
            aborted=outcomes["aborted"],
            untrained=self._desk.untrained,
            queued=self._backlog.games,
            spooled=self._backlog.spooled,
            sent=self._backlog.sent,
            dropped=self._backlog.dropped,
        )

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait for a policy; whether there is one. For a game that would rather wait at its start than improvise."""
        deadline = monotonic_s() + timeout_s
        while self._courier.policy is None and monotonic_s() < deadline:
            time.sleep(_POLL_S)
        return self._courier.policy is not None

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until every game that has ended is in Redis; whether they all are."""
        deadline = monotonic_s() + timeout_s
        return self._desk.settle(timeout_s) and self._backlog.wait_until_empty(max(deadline - monotonic_s(), 0))

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what can be sent within the time, and end the threads. May be called twice; an exit calls it too."""
        atexit.unregister(self.close)
        if self._backlog.closed:
            return
        deadline = monotonic_s() + timeout_s
        for episode in list(self._open.values()):
            episode.abort("the agent was closed")
        if not self.flush(timeout_s):
            _log.warning("games left unsent", actor=self.actor, games=self._backlog.games)
        self._desk.close(deadline - monotonic_s())
        self._backlog.close()
        self._courier.close(deadline - monotonic_s())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _over(self, episode: Episode, ended: FinishedEpisode) -> None:
        self._open.pop(episode.id, None)
        self._desk.leave(ended)

    def _check(self, spec: RunSpec) -> None:
        if self._game is not None:
            wins = spec.game.wins  # it is an episode's end that says who won
            spec.check_game(replace(fitted_spec(self._game, spec), wins=wins))
        if self._actions not in {None, spec.game.actions}:
            raise SpecMismatch(f"actions: {self._actions}, expected {spec.game.actions} (the run's {spec.game.name})")

    def _substitute(self, observation: Any, mask: Any) -> Action:  # noqa: ANN401 - whatever the game has
        """An action without a policy."""
        if self._fallback is not None:
            return self._fallback(observation, mask)
        spec = self._courier.spec
        actions = self._actions or (spec.game.actions if spec else None)
        allowed = flags(mask)
        if actions is None and allowed.size:
            actions = Discrete(max(allowed.size, 2))
        if actions is None:
            if not self._told:
                self._told = True
                _log.warning("no policy, nothing to choose from, playing action 0: connect with actions= or fallback=")
            return 0
        return uniform(actions, allowed, self._spare_rng)
