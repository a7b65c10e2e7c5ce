"""The connection of an actor whose game can wait: its calls go on until they have succeeded, or a stop is requested."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...common.errors import RedisUnreachable, WireError
from ...common.process.backoff import Backoff
from ...common.process.clock import monotonic_s, now_ms
from ...common.process.log import Log
from ...common.server.streams import ServerFull
from ...common.wire.entry_header import Header
from ...common.wire.trajectory import encode_trajectory
from ..fragment_parts import split_for_batch
from .credit import NOTHING, Credit, amount_of
from .delivery import Delivery
from .heartbeat import HEARTBEAT_S, ActorStatus
from .stream_connection import ActorConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ...common.process.shutdown import Stop
    from ...common.server.server_clock import ServerClock
    from ...common.server.streams import Server
    from ...common.spec import RunSpec
    from ...common.wire.weights import Pointer
    from ..inference.policy import Policy
    from ..rollout import Fragment
    from .heartbeat import ActorState

_log = Log("actor")

# First and longest wait for an entry in the versions stream. A new version ends the wait, but a commit may make room
# without publishing one. The waits for room get longer, because a thousand actors with short waits would keep the
# server busy; who waits for a version waits the longest time at once.
_WAIT_S = (0.05, 0.4)
_RECONNECT_S = (0.05, 2.0)  # first and longest wait between attempts after a broken connection
_ENTRIES_WITHOUT_DEMAND = 2


class BlockingActorConnection:
    """The connection of one actor to its run, for one thread that plays and sends in turn."""

    def __init__(
        self,
        url: str,
        run: str,
        actor: str,
        journals: Path | None = None,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        server: Server | None = None,
        clock: Callable[[], float] = monotonic_s,
        server_clock: ServerClock | None = None,
        reconnect_s: tuple[float, float] = _RECONNECT_S,
    ) -> None:
        """Prepare a connection that is made at the first call.

        The arguments are those of `ActorConnection`, and `reconnect_s`: the first and the longest wait between attempts
        after a broken connection.
        """
        self.actor = actor
        self.delivery = Delivery()
        self._connection = ActorConnection(
            *(url, run, actor, self.delivery, journals),
            heartbeat_s=heartbeat_s,
            server=server,
            clock=clock,
            server_clock=server_clock,
        )
        self._spec: RunSpec | None = None
        self._credit = Credit(_ENTRIES_WITHOUT_DEMAND)
        self._usual = NOTHING  # what one push adds
        self._state: ActorState = "starting"
        self._metrics: Mapping[str, str] = {}
        self._reconnect_s = reconnect_s

    @property
    def spec(self) -> RunSpec:
        """The run's spec. Not to be read before `join`."""
        assert self._spec is not None
        return self._spec

    @property
    def latest(self) -> Pointer | None:
        """The newest version as of the last exchange; None if none is known."""
        return self._connection.latest

    @property
    def incarnation(self) -> int:
        """The current incarnation; 0 before `join`."""
        return self._connection.incarnation

    def read_spec(self, stop: Stop) -> RunSpec | None:
        """Wait until a learner has written the run's spec. Returns None if a stop is requested before that."""
        while not stop.requested:
            spec = self._connection.ask_spec()
            if spec is not None:
                return spec
            time.sleep(_WAIT_S[0])
        return None

    def join(self, spec: RunSpec) -> int:
        """Enter the roster under a new incarnation. Returns the previous incarnation, or 0 if the name is new."""
        self._spec = spec
        before = self._connection.enter()
        self._round_trip()
        return before

    def push(self, fragments: list[Fragment], stop: Stop, metrics: Mapping[str, str] | None = None) -> None:
        """Send fragments. If the connection breaks, this tries again until it succeeds or a stop is requested.

        Args:
            fragments: may be empty; then only a heartbeat is sent, if it is due.
            stop: ends the attempts.
            metrics: further fields of all heartbeats from now on; None: the same as before.
        """
        if metrics is not None:
            self._metrics = metrics
        pushed = NOTHING
        created_ms = now_ms()
        for fragment in self._parts(fragments):
            header = _header(fragment, created_ms)
            payload = encode_trajectory(fragment.trajectory, self.actor, self.spec)
            self.delivery.put(header, payload)
            pushed += amount_of(header, len(payload))
        if fragments:
            self._usual = pushed if self.spec.rollout.unroll == "steps" else pushed * (1 / len(fragments))
        if fragments or self._connection.heartbeat_due:
            self.exchange(stop)

    def policy(self, current: Policy | None, stop: Stop) -> Policy | None:
        """The policy of the latest known version, fetched if it is not the current one.

        It waits only while no version is known or can be fetched. Returns `current` if a stop is requested.
        """
        while not stop.requested:
            latest = self.latest
            if current is not None and (latest is None or latest == current.pointer):
                return current
            if latest is not None:
                try:
                    return self._connection.versions.fetch_policy(latest, self.spec)
                except WireError as error:  # deleted meanwhile, or another lineage's: ask for the pointer again
                    _log.warning("weights not usable, trying again", error=error)
                except RedisUnreachable as error:
                    _log.warning("weights not fetched, trying again", error=error)
            self.exchange(stop, wait_s=_WAIT_S[0])
        return current

    def wait_for_room(self, stop: Stop) -> None:
        """Wait until the learner's demand leaves room for as much as was pushed last. Nobody waits in lock step."""
        if self.spec.rollout.lock_step:
            return
        credit, waits = self._credit, Backoff(*_WAIT_S)
        self._wait(
            lambda: not credit.allows(self._connection.unconsumed, self._usual),
            lambda: min(waits.next_s(), credit.longest_wait_s),
            stop,
        )

    def wait_for_newer(self, pointer: Pointer, stop: Stop) -> None:
        """Wait until the newest version is another one than this."""
        self._wait(lambda: self.latest in {None, pointer}, lambda: _WAIT_S[1], stop)

    def exchange(self, stop: Stop, *, wait_s: float = 0.0) -> None:
        """Make one round trip. If it fails, try again until it succeeds.

        Args:
            stop: ends the attempts.
            wait_s: the longest time that the server waits for a new version before it replies.

        Raises:
            RedisUnreachable, ServerFull: from the last attempt, if a stop is requested.
        """
        pauses = Backoff(*self._reconnect_s)
        while True:
            try:
                self._round_trip(wait_s)
                break
            except (RedisUnreachable, ServerFull) as error:
                if stop.requested:
                    raise
                _log.warning("not sent, trying again", error=error)
                time.sleep(pauses.next_s())
                wait_s = 0.0
        if wait_s and self.latest is None:
            time.sleep(wait_s)

    def leave(self) -> None:
        """Leave the run: the learner strikes the actor off once its stream is empty."""
        self._connection.leave()

    def _parts(self, fragments: list[Fragment]) -> list[Fragment]:
        """The fragments, in parts where they are too large for the batch; in lock step, one entry for each version."""
        batch_steps, rollout = self._credit.batch_steps, self.spec.rollout
        if batch_steps is None or rollout.unroll == "games" or rollout.lock_step:
            return fragments
        return [
            part
            for fragment in fragments
            for part in ([fragment] if fragment.played_with is None else split_for_batch(fragment, batch_steps))
        ]

    def _wait(self, blocked: Callable[[], bool], wait_s: Callable[[], float], stop: Stop) -> None:
        self._state = "waiting"
        while not stop.requested and blocked():
            self.exchange(stop, wait_s=wait_s())
        self._state = "playing"

    def _round_trip(self, wait_s: float = 0.0) -> None:
        lock_step = self._spec is not None and self._spec.rollout.lock_step
        status = ActorStatus(self._state, self._credit.steps, lock_step, self._metrics)
        self._connection.round_trip(status, wait_ms=round(1000 * wait_s))
        latest = self.latest
        version = (0, 0) if latest is None else (latest.epoch, latest.version)
        self._credit.learn(self._connection.demand, version, self._usual)


def _header(fragment: Fragment, created_ms: int) -> Header:
    steps, episodes = fragment.trajectory.steps, fragment.trajectory.episodes
    if fragment.played_with is None:
        return Header(0, (0, 0), steps, created_ms, episodes=episodes, imported=True)
    low, high = fragment.played_with
    return Header(
        low.epoch,
        (low.version, high.version),
        steps,
        created_ms,
        (low.commit, high.commit),
        episodes,
        fragment.open_since_ms,
    )
