"""The actor's line to Redis, for a game that can wait: push, hear of new versions, hold back at high water."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...common.errors import RedisUnreachable, WireError
from ...common.process.clock import now_ms
from ...common.process.log import Log
from ...common.server.streams import ServerFull
from ...common.wire.trajectory import Header, encode_trajectory
from .stream_connection import ActorConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.process.shutdown import Stop
    from ...common.spec import RunSpec
    from ...common.wire.weights import Pointer
    from ..inference.policy import Policy
    from ..rollout import Fragment

_log = Log("actor")

# First and longest wait on the versions stream: a new version ends it, but a commit may make room without one. Longer
# each time, as a thousand that wait for one learner would keep the server busy with asking.
_WAIT_MS = (50, 400)
_RECONNECT_S = (0.05, 2.0)


class BlockingActorConnection(ActorConnection):
    """A line whose calls go on until they have succeeded, or until a stop is requested."""

    def read_spec(self, stop: Stop) -> RunSpec | None:
        """Wait for a learner to have written the run's spec; None if told to stop before."""
        while not stop.requested:
            spec = self.ask_spec()
            if spec is not None:
                return spec
            time.sleep(_WAIT_MS[0] / 1000)
        return None

    def join(self, spec: RunSpec) -> int:
        """Enter the roster under a fresh incarnation; returns the one before, or 0 for a name that is new."""
        before = self.enter(spec)
        self._exchange(None)
        return before

    def push(self, fragments: list[Fragment], stop: Stop) -> None:
        """Send pieces, however often the connection breaks on the way; only a stop request gives up."""
        for fragment in fragments:
            trajectory, header = fragment.trajectory, _header(fragment)
            self.add(header, encode_trajectory(trajectory, self.actor, self.spec))
        if fragments or self.heartbeat_due.over:
            self._exchange(stop)

    def policy(self, current: Policy | None, stop: Stop) -> Policy | None:
        """The latest version known, fetched if it is not the current one; waits only where there is none at all."""
        while not stop.requested:
            latest = self.latest
            if current is not None and (latest is None or latest == current.pointer):
                return current
            if latest is not None:
                try:
                    return self.fetch_policy(latest)
                except WireError as error:  # collected meanwhile, or another lineage's: the pointer has moved on
                    _log.warning("weights not usable, asking again", error=error)
                except RedisUnreachable as error:
                    _log.warning("weights not fetched, asking again", error=error)
            self._exchange(stop, wait_ms=_WAIT_MS[0])
        return current

    def wait_for_room(self, stop: Stop) -> None:
        """Hold back while the stream is at high water."""
        self._wait(lambda: self.backlog >= self.spec.rollout.high_water, stop)

    def wait_for_newer(self, pointer: Pointer, stop: Stop) -> None:
        """Hold back until there is another version than this one."""
        self._wait(lambda: self.latest in {None, pointer}, stop)

    def _wait(self, blocked: Callable[[], bool], stop: Stop) -> None:
        self.state = "waiting"
        wait_ms, longest_ms = _WAIT_MS
        while not stop.requested and blocked():
            self._exchange(stop, wait_ms=wait_ms)
            wait_ms = min(2 * wait_ms, longest_ms)
        self.state = "playing"

    def _exchange(self, stop: Stop | None, wait_ms: int = 0) -> None:
        """One round trip, tried until it goes through.

        Args:
            stop: until when to try again after a lost connection; None raises at the first one.
            wait_ms: how long to wait for a new version before asking.
        """
        pause = _RECONNECT_S[0]
        while True:
            try:
                self.round_trip(wait_ms)
                break
            except (RedisUnreachable, ServerFull) as error:
                if stop is None or stop.requested:
                    raise
                _log.warning("not sent, trying again", error=error)
                time.sleep(pause)
                pause, wait_ms = min(2 * pause, _RECONNECT_S[1]), 0
        if wait_ms and self.latest is None:
            time.sleep(wait_ms / 1000)


def _header(fragment: Fragment) -> Header:
    played_with, counts = fragment.played_with, (fragment.trajectory.steps, fragment.trajectory.games)
    if played_with is None:
        return Header(0, 0, *counts, now_ms(), imported=True)
    return Header(played_with.version, played_with.epoch, *counts, now_ms(), played_with.commit)
