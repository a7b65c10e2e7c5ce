"""The client for a game that owns its loop: `connect`, and the agent it returns.

An agent has two threads: the encoder thread encodes finished episodes, and the sender thread owns the connection to
Redis. The methods that a game calls while it plays never wait for either of them.
"""

from __future__ import annotations

import atexit
import itertools
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...common.actions import Discrete
from ...common.arguments import flag, function, instance, invalid, optional, path, seconds, text
from ...common.deprecated import StatusAliases
from ...common.errors import ConfigError, SpecMismatch
from ...common.process.clock import monotonic_s, now_ms
from ...common.process.log import Log
from ...common.process.made_folder import make_folder
from ...common.process.seeding import Role, generator, name_key
from ...common.server.address import PASSWORD_VARIABLE, with_password
from ...common.server.keys import check_name
from ...common.server.local_socket import default_url
from ..games.observation_fit import fitted_spec
from ..policies.evaluation_share import is_evaluation
from ..policies.policy_follower import PolicyFollower, Version
from ..transport.actor_names import host_name, process_name
from ..transport.delivery import Delivery
from ..transport.send_queue import Limits
from ..transport.stream_connection import ActorConnection
from .encoder_thread import EncoderThread
from .episode import Episode, ErrorPolicy, FinishedEpisode
from .fallback_policy import as_flags, uniform
from .open_games import OpenGames
from .overflow import NOTHING, Unsent, hint, is_ahead
from .packing import PackLimit
from .sender_thread import SenderThread
from .spool import Spool, first_free
from .validation import check_actions, check_playing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from ...common.actions import ActionSpace
    from ...common.spec import GameSpec, RunSpec
    from ..inference.batched_inference import Action
    from ..policies.policy_source import ConnectionState, PolicySource
    from .validation import UpdatePolicy

_log = Log("client")
_names = itertools.count()

_EXIT_S = 2.0  # how long a process that exits may go on sending
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Status(StatusAliases):
    """The status of an agent. All counts begin with its process."""

    actor: str
    connection: ConnectionState
    problem: str  # the last error, until an attempt succeeds; empty if there is none
    epoch: int
    version: int  # of the policy for the next episode; 0: none yet
    playing: int  # episodes begun and not ended
    wins: int
    losses: int
    ties: int
    truncated: int
    aborted: int  # includes those whose data could not be used
    untrained: int  # ended, but played without a policy or without an action
    queued: int  # waiting for Redis to acknowledge them
    spooled: int  # of these, on disk
    sent: int  # acknowledged by Redis
    evaluations: int  # ended, and played greedily to evaluate a version: their results are sent, and not trained on
    overflow: int  # given up before their first step, because the learner could not keep up: played, and not recorded
    lost: int  # dropped before they were sent, because a limit was exceeded or a file could not be read

    @property
    def hint(self) -> str:
        """What to change, where many games are given up; empty otherwise."""
        return hint(self.overflow, self.sent + self.queued + self.lost)


@dataclass(frozen=True, slots=True)
class Playing:
    """How an agent plays whose games are not sent to the learner."""

    version: Version = None
    greedy: bool = False


def connect(
    url: str | None = None,
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
    update_policy: UpdatePolicy = "episode",
    greedy: bool = False,
    learn: bool = True,
    version: Version = None,
    restarts: bool = False,
) -> Agent:
    """Begin to play for a run. Returns at once, even if Redis cannot be reached yet.

    Args:
        url: the server's URL: redis://, rediss:// (TLS) or unix://. None: the environment variable BROODMIND_REDIS, or
            else the server of `broodmind up --client` for this run on this machine. If the URL has no password, the
            password is taken from the environment variable BROODMIND_REDIS_PASSWORD.
            rediss://HOST:PORT?ssl_ca_certs=FILE trusts the authority whose certificate is in the file, instead of those
            that this machine trusts.
        run: the run's name.
        name: this process's name among the run's actors. By default host and process id; with a spool, host and the
            first number that no other process on this machine has, so that a restart finds its spool again.
        game: the game's arrays, to be checked against the run's; and offered to a learner that waits for a game.
        actions: the action space, or the number of actions to choose from, for playing without a policy.
        fallback: called with observation and mask while there is no policy; by default actions are drawn uniformly.
        records: a file to which a record of each episode is appended as a line of JSON.
        journal: a folder for the actor's journal, by which `broodmind verify` finds what was lost.
        spool_dir: a folder where finished games wait for Redis; if the process is killed, the next one sends them.
        limits: how many finished games may wait for Redis; beyond it the oldest are dropped, and counted.
        seed: with the same seed, versions and observations, the same actions are drawn.
        update_policy: when a game takes up a newer version of the policy: "episode", when it begins, so that one
            version plays it to its end; or "step", with its next action, so that a long game does not become stale.
        greedy: play the most probable actions instead of drawing them. Only with `learn=False`.
        learn: whether the games are sent to the learner. False: the agent only plays, and writes nothing to the run.
        version: what an agent plays that only plays: "best", the best version so far by the greedy games that
            `eval_share` asks for; the number of a version that the run keeps; or None, the newest.
        restarts: another process of this name follows when this one ends, as where each game is a process of its own.
            The learner waits for it for ten seconds before it trains on a batch that is incomplete.

    Raises:
        ConfigError: for invalid arguments; never for a problem of the network.
    """
    actions = check_actions(game, actions)
    version = check_playing(update_policy, version, seed, greedy=greedy, learn=learn)
    if not learn and (spool_dir is not None or journal is not None):
        raise ConfigError("spool_dir, journal: given with learn=False, expected none: nothing is sent")
    optional(text, "url", url)
    optional(function, "fallback", fallback)
    records_file, journals = optional(path, "records", records), optional(path, "journal", journal)
    spool_folder = optional(path, "spool_dir", spool_dir)
    if journals is not None:
        make_folder("journal", journals)
    limits = Limits() if limits is None else instance("limits", limits, Limits)
    name, spool = _name_and_spool(name, check_name("run", run), spool_folder)
    delivery = Delivery(limits, spool)
    address = _with_password(url or default_url(run))
    agent = Agent(
        ActorConnection(address, run, name, delivery, journals, evaluates=True, comes_back=flag("restarts", restarts)),
        delivery,
        game,
        actions,
        fallback,
        records_file,
        secrets.randbits(64) if seed is None else int(seed),
        update_policy=update_policy,
        playing=None if learn else Playing(version, greedy=bool(greedy)),
    )
    agent.start()
    return agent


def _name_and_spool(name: str | None, run: str, spool_dir: Path | None) -> tuple[str, Spool | None]:
    """The actor's name, by default one that no other process has; and its spool, if there is a folder for it."""
    if name is not None:
        check_name("name", name)
    if spool_dir is not None:
        folder = spool_dir / run
        return first_free(folder, host_name()) if name is None else (name, Spool(folder / name))
    if name is None:
        number = next(_names)
        name = process_name() + (f"-{number}" if number else "")
    return name, None


def _with_password(url: str) -> str:
    """The URL; if it has no password, with that of the environment variable, which the commands read too."""
    password = os.environ.get(PASSWORD_VARIABLE)
    return with_password(url, password) if password else url


class Agent:
    """The client of one process in a run. It plays any number of games at a time, from any threads of the process."""

    def __init__(
        self,
        connection: ActorConnection,
        delivery: Delivery,
        game: GameSpec | None,
        actions: ActionSpace | None,
        fallback: Callable[[Any, Any], Action] | None,
        records: Path | None,
        seed: int,
        sender: PolicySource | None = None,
        update_policy: UpdatePolicy = "episode",
        playing: Playing | None = None,
    ) -> None:
        self.actor, self._name_key = connection.actor, name_key(connection.actor)
        self._game, self._actions, self._fallback, self._seed = game, actions, fallback, seed
        self._delivery, self._update_policy = delivery, update_policy
        self._open_games = OpenGames()
        self._encoder = EncoderThread(
            self.actor,
            delivery,
            records,
            self._open_games,
            lambda: PackLimit.of(self._sender.demand, delivery.queue_games),
        )
        self._playing = playing
        if sender is None and playing is not None:
            sender = PolicyFollower(connection, delivery, self._check, playing.version)
        self._sender: PolicySource = sender or SenderThread(connection, delivery, self._check, game)
        self._began_ms = now_ms()
        self._numbers = itertools.count(1)
        self._open: dict[str, Episode] = {}
        self._error_policy = ErrorPolicy()
        self._fallback_rng = np.random.default_rng(seed)
        self._warned = False

    def start(self) -> None:
        """Start the threads."""
        self._encoder.start()
        self._sender.start()
        atexit.register(self.close, _EXIT_S)

    def episode(self, **labels: object) -> Episode:
        """Begin a game. The newest version known now plays it to its end, unless `connect` was told otherwise.

        Use it in a with statement, or call `end` or `abort` yourself.

        Args:
            labels: further fields of the episode's record: map, opponent, ...
        """
        return self.begin(labels)

    def begin(
        self,
        labels: Mapping[str, object],
        fallback: Callable[[Any, Any], Action] | None = None,
        error_policy: ErrorPolicy | None = None,
    ) -> Episode:
        """Like `episode`, with a fallback and an error policy of the episode's own."""
        if not (isinstance(labels, Mapping) and all(isinstance(each, str) for each in labels)):
            raise invalid("labels", labels, "a dict of labels by name")
        optional(function, "fallback", fallback)
        error_policy = error_policy or self._error_policy
        if self._delivery.closed:
            error_policy.raise_or_log("episode: begun after the agent was closed, expected before")
        number, policy, evaluation = next(self._numbers), self._sender.policy, self._sender.evaluation
        evaluates = evaluation is not None and is_evaluation(number - 1, evaluation[0], self._seed ^ self._name_key)
        if evaluation is not None and evaluates:
            policy = evaluation[1]
        given_up = policy is not None and not evaluates and self._is_ahead()
        if given_up:
            self._delivery.give_up()
        episode = Episode(
            f"{self.actor}-{self._began_ms}-{number}",
            labels,
            policy,
            fallback or self._fallback_action,
            generator(self._seed, Role.ACTIONS, self._name_key, number),
            error_policy,
            self._on_end,
            given_up=given_up,
            evaluates=evaluates,
            greedy=self._playing is not None and self._playing.greedy,
            plays_only=self._playing is not None,
            newest=(lambda: self._sender.policy) if self._update_policy == "step" and not evaluates else None,
        )
        self._open[episode.id] = episode
        self._open_games.add(episode)
        return episode

    @property
    def spec(self) -> RunSpec | None:
        """The run's spec; None until it has been read."""
        return self._sender.spec

    @property
    def status(self) -> Status:
        """The current status. A finished game is counted once the encoder thread has handled it."""
        policy, outcomes = self._sender.policy, self._encoder.outcomes
        return Status(
            actor=self.actor,
            connection=self._sender.state,
            problem=self._sender.problem,
            epoch=policy.pointer.epoch if policy else 0,
            version=policy.pointer.version if policy else 0,
            playing=len(self._open),
            wins=outcomes["win"],
            losses=outcomes["loss"],
            ties=outcomes["tie"],
            truncated=outcomes["truncated"],
            aborted=outcomes["aborted"],
            untrained=self._encoder.untrained,
            queued=self._delivery.queued,
            spooled=self._delivery.spooled,
            sent=self._delivery.sent,
            evaluations=self._encoder.evaluations,
            overflow=self._delivery.overflow,
            lost=self._delivery.lost,
        )

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for a policy, instead of playing without one. Returns True if there is one."""
        deadline = monotonic_s() + seconds("timeout_s", timeout_s)
        while self._sender.policy is None and monotonic_s() < deadline:
            time.sleep(_POLL_S)
        return self._sender.policy is not None

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait up to `timeout_s` until every game that has ended is in Redis. Returns True if they all are."""
        timeout_s = seconds("timeout_s", timeout_s)
        deadline = monotonic_s() + timeout_s
        return self._encoder.flush(timeout_s) and self._delivery.wait_until_empty(max(deadline - monotonic_s(), 0))

    def close(self, timeout_s: float = 5.0) -> None:
        """Send games for up to `timeout_s`, and end the threads. Called at exit too; may be called twice."""
        timeout_s = seconds("timeout_s", timeout_s)
        atexit.unregister(self.close)
        if self._delivery.closed:
            return
        deadline = monotonic_s() + timeout_s
        for episode in list(self._open.values()):
            episode.abort("the agent was closed")
        if not self.flush(timeout_s):
            _log.warning("games left unsent", actor=self.actor, games=self._delivery.queued)
        self._encoder.close(deadline - monotonic_s())
        self._delivery.close()
        self._sender.close(deadline - monotonic_s())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _is_ahead(self) -> bool:
        """Whether the next game is to be given up.

        Never because the server is away, or takes long to answer: then games wait, within limits.
        """
        sender, delivery = self._sender, self._delivery
        unsent = Unsent(delivery.queued, delivery.queued_steps, delivery.queued_bytes) if sender.behind else NOTHING
        ahead = sender.state == "connected" and is_ahead(unsent, self._encoder.unencoded, sender.demand)
        if ahead and not delivery.overflow:  # once, and not for each game
            _log.warning("ahead of the learner, giving up games before their first step", actor=self.actor)
        return ahead

    def _on_end(self, episode: Episode, finished: FinishedEpisode) -> None:
        self._open.pop(episode.id, None)
        self._encoder.put(finished)

    def _check(self, spec: RunSpec) -> None:
        if self._game is not None:
            wins = spec.game.wins  # the outcome is given at an episode's end, not by the game
            spec.check_game(replace(fitted_spec(self._game, spec), wins=wins))
        if self._actions not in {None, spec.game.actions}:
            raise SpecMismatch(f"actions: {self._actions}, expected {spec.game.actions} (the run's {spec.game.name})")

    def _fallback_action(self, observation: Any, mask: Any) -> Action:  # noqa: ANN401 - whatever the game has
        """An action while there is no policy."""
        if self._fallback is not None:
            return self._fallback(observation, mask)
        spec = self._sender.spec
        actions = self._actions or (spec.game.actions if spec else None)
        flags = as_flags(mask)
        if actions is None and flags.size:
            actions = Discrete(max(flags.size, 2))
        if actions is None:
            if not self._warned:
                self._warned = True
                _log.warning("no policy and no known actions, playing action 0: connect with actions= or fallback=")
            return 0
        return uniform(actions, flags, self._fallback_rng)
