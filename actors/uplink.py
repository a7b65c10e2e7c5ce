"""The actor's line to Redis, for a game that can wait: push, hear of new versions, hold back at high water."""

from __future__ import annotations

import os
import platform
import time
from typing import TYPE_CHECKING

from ..common.clock import Every, monotonic_s, now_ms
from ..common.errors import BroodmindError, ConfigError, RedisUnreachable, WireError
from ..common.keys import Keys, check_name
from ..common.log import Log
from ..common.spec import RunSpec
from ..common.streams import Server, ServerFull
from ..common.trajectory import Header, encode_trajectory
from ..common.weights import Pointer, decode_weights
from .journal import Journal
from .outbox import Outbox
from .policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..common.shutdown import Stop
    from ..common.streams import Argument, Reply
    from .rollout import Piece

_log = Log("actor")

_HEARTBEAT_S, _HEARTBEAT_TTL_MS = 1.0, 10_000
_WAIT_MS = 50  # one wait on the versions stream; not longer, as a commit may make room without a new version
_RECONNECT_S = (0.05, 2.0)
_CHUNK = 1 << 18  # weights are fetched in parts: a stalled reader of one large reply costs the server its size


class Uplink:
    """One actor's place in a run. For one thread."""

    def __init__(self, url: str, run: str, actor: str, journals: Path | None = None) -> None:
        self.actor = check_name("actor", actor)
        self._journals = journals  # the folder for the journal; None keeps none
        self._journal: Journal | None = None
        self._keys = Keys(run)
        self._server = Server(url)
        self._stream = self._keys.trajectories(actor)
        self._outbox = Outbox(self._stream, 0)
        self._latest: Pointer | None = None
        self._backlog = 0
        self._broken = False  # the connection, since the last exchange: the next one resends
        self._state = "starting"
        self._steps, self._games, self._began_s = 0, 0, monotonic_s()
        self._heartbeat_due = Every(_HEARTBEAT_S)

    def read_spec(self, stop: Stop) -> RunSpec | None:
        """Wait for a learner to have written the run's spec; None if told to stop before."""
        while not stop.requested:
            raw = self._server.call("HGET", self._keys.spec, "json")
            if raw is not None:
                return RunSpec.from_json(raw)
            time.sleep(_WAIT_MS / 1000)
        return None

    def join(self, spec: RunSpec) -> int:
        """Enter the roster under a fresh incarnation: higher than any this name had, even if the clock went back.

        Returns:
            The incarnation before, or 0 for a name that is new.
        """
        self._spec = spec
        before = int(self._server.call("HGET", self._keys.roster, self.actor) or 0)
        self._incarnation = max(now_ms(), before + 1)
        self._outbox = Outbox(self._stream, self._incarnation)
        if self._journals is not None:
            self._journal = Journal(self._journals, self.actor, self._incarnation)
        self._exchange(None)
        return before

    def push(self, pieces: list[Piece], stop: Stop) -> None:
        """Send pieces, however often the connection breaks on the way; only a stop request gives up."""
        for piece in pieces:
            trajectory, played_with = piece.trajectory, piece.played_with
            counts = (trajectory.steps, trajectory.games)
            header = Header(played_with.version, played_with.epoch, *counts, now_ms(), played_with.commit)
            self._outbox.add(header, encode_trajectory(trajectory, self.actor, self._spec))
            self._steps += trajectory.steps
            self._games += trajectory.games
        if pieces or self._heartbeat_due.over:
            self._exchange(stop)

    def policy(self, current: Policy | None, stop: Stop) -> Policy | None:
        """The latest version known, fetched if it is not the current one; waits only where there is none at all."""
        while not stop.requested:
            latest = self._latest
            if current is not None and (latest is None or latest == current.pointer):
                return current
            if latest is not None:
                try:
                    params = decode_weights(self._fetch(latest), latest.digest, self._spec)
                    return Policy(latest, params, self._spec)
                except WireError as error:  # collected meanwhile, or another lineage's: the pointer has moved on
                    _log.warning("weights not usable, asking again", error=error)
                except RedisUnreachable as error:
                    self._broken = True
                    _log.warning("weights not fetched, asking again", error=error)
            self._exchange(stop, wait_ms=_WAIT_MS)
        return current

    def wait_for_room(self, stop: Stop) -> None:
        """Hold back while the stream is at high water."""
        self._wait(lambda: self._backlog >= self._spec.rollout.high_water, stop)

    def wait_for_newer(self, pointer: Pointer, stop: Stop) -> None:
        """Hold back until there is another version than this one."""
        self._wait(lambda: self._latest in {None, pointer}, stop)

    def leave(self) -> None:
        """Say goodbye: without a heartbeat, and once its stream is drained, the learner strikes the actor off."""
        try:
            self._server.call("DEL", self._keys.heartbeat(self.actor))
        except RedisUnreachable:
            _log.info("left without a goodbye", actor=self.actor)  # the heartbeat runs out by itself
        finally:
            self._server.close()
            if self._journal is not None:
                self._journal.close()

    def _wait(self, blocked: Callable[[], bool], stop: Stop) -> None:
        self._state = "waiting"
        while not stop.requested and blocked():
            self._exchange(stop, wait_ms=_WAIT_MS)
        self._state = "playing"

    def _exchange(self, stop: Stop | None, wait_ms: int = 0) -> None:
        """One round trip: what is unsent, the heartbeat when it is due, and what there is to know.

        Args:
            stop: until when to try again after a lost connection; None raises at the first one.
            wait_ms: how long to wait for a new version before asking.
        """
        pause = _RECONNECT_S[0]
        while True:
            # A lost reply is not a lost entry; nor need what was acknowledged before a break be on the server's disk.
            outgoing = self._outbox.after_reconnect() if self._broken else self._outbox.unsent()
            commands: list[tuple[Argument, ...]] = [each.command for each in outgoing]
            if self._heartbeat_due.due():
                commands += self._heartbeat()
            if wait_ms and self._latest is not None:
                seen = f"{self._latest.epoch}-{self._latest.version}"
                commands.append(("XREAD", "COUNT", 1, "BLOCK", wait_ms, "STREAMS", self._keys.versions, seen))
            commands += [("GET", self._keys.latest), ("XLEN", self._stream)]
            try:
                replies = self._server.replies(commands)
                _raise_if_full(replies)
                break
            except (RedisUnreachable, ServerFull) as error:
                if stop is None or stop.requested:
                    raise
                _log.warning("not sent, trying again", error=error)
                time.sleep(pause)
                pause, wait_ms, self._broken = min(2 * pause, _RECONNECT_S[1]), 0, True
        self._note(replies[: len(outgoing)], replies[len(outgoing) :], resent=self._broken)
        self._broken = False
        if wait_ms and self._latest is None:
            time.sleep(wait_ms / 1000)

    def _note(self, added: list[Reply], answers: list[Reply], *, resent: bool) -> None:
        for reply in added:
            if not isinstance(reply, BroodmindError):
                continue
            if "equal or smaller" not in str(reply):
                raise reply
            if not resent:
                raise ConfigError(f"actor: {self.actor!r} is the name of another process too, expected one of its own")
        for reply in answers:
            if isinstance(reply, BroodmindError):
                raise reply
        arrived = self._outbox.acknowledge(monotonic_s(), resent=resent)
        if self._journal is not None:
            self._journal.write(arrived)
        *_, latest, self._backlog = answers
        if latest is not None:
            self._latest = Pointer.from_json(latest)

    def _heartbeat(self) -> list[tuple[Argument, ...]]:
        key = self._keys.heartbeat(self.actor)
        elapsed_s = monotonic_s() - self._began_s
        fields: dict[str, Argument] = {
            "host": platform.node(),
            "pid": os.getpid(),
            "state": self._state,
            "epoch": self._latest.epoch if self._latest else 0,
            "version": self._latest.version if self._latest else 0,
            "steps": self._steps,
            "games": self._games,
            "steps_per_second": f"{self._steps / max(elapsed_s, 1e-9):.0f}",
            "updated_ms": now_ms(),
        }
        return [
            # The roster too: a learner may have struck off an actor that was silent for long.
            ("HSET", self._keys.roster, self.actor, self._incarnation),
            ("HSET", key, *(part for pair in fields.items() for part in pair)),
            ("PEXPIRE", key, _HEARTBEAT_TTL_MS),
        ]

    def _fetch(self, pointer: Pointer) -> bytes:
        key = self._keys.weights(pointer.epoch, pointer.version)
        if pointer.length <= _CHUNK:
            return self._server.call("GET", key) or b""
        starts = range(0, pointer.length, _CHUNK)
        return b"".join(self._server.call("GETRANGE", key, start, start + _CHUNK - 1) for start in starts)


def _raise_if_full(replies: list[Reply]) -> None:
    """A server at its memory limit refuses entries until the learner has made room: a reason to wait, not to end."""
    for reply in replies:
        if isinstance(reply, ServerFull):
            raise reply
