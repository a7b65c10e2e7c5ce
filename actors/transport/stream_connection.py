"""The line: one actor's connection to its run. Each call is one attempt; whoever calls decides how long to go on.

`Uplink` stands on it for games that can wait, `Courier` for those that cannot.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError, NameTaken, RedisUnreachable
from ...common.process.clock import Every, monotonic_s, now_ms
from ...common.process.log import Log
from ...common.server.keys import Keys, check_name
from ...common.server.streams import NotNow, Server, ServerFull
from ...common.spec import RunSpec
from ...common.wire.weights import Pointer, decode_weights
from ..inference.policy import Policy
from .ack_journal import Journal
from .outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ...common.server.streams import Argument, Reply
    from ...common.wire.trajectory import Header
    from .outbox import EntryId, Outgoing

_log = Log("actor")

_HEARTBEAT_S, _HEARTBEAT_TTL_MS = 1.0, 10_000
_CHUNK = 1 << 18  # weights are fetched in parts: a stalled reader of one large reply costs the server its size


class ActorConnection:
    """One actor's place in a run. For one thread."""

    def __init__(self, url: str, run: str, actor: str, journals: Path | None = None) -> None:
        self.actor = check_name("actor", actor)
        self._journals = journals  # the folder for the journal; None keeps none
        self._journal: Journal | None = None
        self._keys = Keys(run)
        self._server = Server(url)
        self._stream = self._keys.trajectories(actor)
        self.outbox = Outbox(self._stream, 0)
        self.latest: Pointer | None = None
        self.backlog = 0  # entries of ours in Redis, as of the last exchange
        self.metrics: Mapping[str, str] = {}  # what the heartbeat says beside its own
        self.state = "starting"  # as the heartbeat tells it
        self.renumbered: dict[EntryId, EntryId] = {}  # what the last round trip gave other ids, as it was refused
        self._broken = False  # the connection, since the last exchange: the next one resends
        self._steps, self._games, self._began_s = 0, 0, monotonic_s()
        self.heartbeat_due = Every(_HEARTBEAT_S)

    def ask_spec(self) -> RunSpec | None:
        """The run's spec, or None where no learner has written it yet."""
        raw = self._server.call("HGET", self._keys.spec, "json")
        return None if raw is None else RunSpec.from_json(raw)

    def enter(self, spec: RunSpec, above: int = 0) -> int:
        """Take a fresh incarnation: higher than any this name had and than `above`, even if the clock went back.

        Returns:
            The incarnation before, or 0 for a name that is new.
        """
        self.spec = spec
        self.high_water = 1 if spec.rollout.lock_step else spec.rollout.high_water
        before = int(self._server.call("HGET", self._keys.roster, self.actor) or 0)
        self._incarnation = max(now_ms(), before + 1, above + 1)
        self.outbox.begin(self._incarnation)
        self._close_journal()
        if self._journals is not None:
            self._journal = Journal(self._journals, self.actor, self._incarnation)
        return before

    def round_trip(self, wait_ms: int = 0) -> list[EntryId]:
        """Send what is unsent, the heartbeat when it is due, and ask what there is to know.

        Args:
            wait_ms: how long to wait for a new version before asking.

        Returns:
            The entries that will not be sent again: acknowledged, and for so long that they are on the server's disk.

        Raises:
            RedisUnreachable, ServerFull, RedisDenied, ReplyError: and the next attempt sends again.
            NameTaken: another process adds entries under this name.
        """
        # A lost reply is not a lost entry; nor need what was acknowledged before a break be on the server's disk.
        resent = self._broken
        outgoing = self.outbox.after_reconnect() if resent else self.outbox.unsent()
        asked: list[tuple[Argument, ...]] = self._heartbeat() if self.heartbeat_due.due() else []
        if wait_ms and self.latest is not None:
            seen = f"{self.latest.epoch}-{self.latest.version}"
            asked.append(("XREAD", "COUNT", 1, "BLOCK", wait_ms, "STREAMS", self._keys.versions, seen))
        asked += [("GET", self._keys.latest), ("XLEN", self._stream)]
        self._broken, self.renumbered = True, {}
        if resent:
            replies = [*self._resend(outgoing), *self._server.replies(asked)]
        else:
            replies = self._server.replies([*(each.command for each in outgoing), *asked])
        try:
            self._check_taken(replies, len(outgoing), resent=resent)
            safe = self._note(replies[: len(outgoing)], replies[len(outgoing) :], resent=resent)
        finally:
            self._write_journal()
        self._broken = False
        return safe

    def resume(self, entry_id: EntryId, header: Header, payload: bytes) -> None:
        """Take over an entry that a process before may have sent; a refusal then means that it has."""
        self.outbox.resume(entry_id, header, payload)
        self._broken = True

    @property
    def full(self) -> bool:
        """Whether the stream is at high water."""
        return self.backlog >= self.high_water

    def fetch_policy(self, pointer: Pointer) -> Policy:
        """A version's policy; raises WireError where the blob is gone or is not what the pointer names."""
        try:
            blob = self._fetch(pointer)
        except RedisUnreachable:
            self._broken = True
            raise
        return Policy(pointer, decode_weights(blob, pointer.digest, self.spec), self.spec)

    def add(self, header: Header, payload: bytes) -> EntryId:
        """Number an entry for the next round trip."""
        self._steps += header.steps
        self._games += header.games
        return self.outbox.add(header, payload)

    def leave(self) -> None:
        """Say goodbye: without a heartbeat, and once its stream is drained, the learner strikes the actor off."""
        try:
            self._server.call("DEL", self._keys.heartbeat(self.actor))
        except RedisUnreachable:
            _log.info("left without a goodbye", actor=self.actor)  # the heartbeat runs out by itself
        finally:
            self._server.close()
            self._close_journal()

    def _write_journal(self) -> None:
        """What arrived under this incarnation; of an earlier one's, that one may have said so already."""
        arrived = self.outbox.take_arrived()
        if self._journal is not None:
            self._journal.write(each for each in arrived if each.entry_id[0] == self._incarnation)

    def _close_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _resend(self, outgoing: list[Outgoing]) -> list[Reply]:
        """One by one, each only after the one before is there.

        Of a pipeline, a server that is still loading, or full, may refuse the beginning and take the end; then what it
        refused is "equal or smaller" too, and nobody could tell it from what had arrived before the break.
        """
        replies = []
        for each in outgoing:
            (reply,) = self._server.replies([each.command])
            if isinstance(reply, BroodmindError) and not _is_there(reply):
                raise reply
            replies.append(reply)
        return replies

    def _check_taken(self, replies: list[Reply], outgoing: int, *, resent: bool) -> None:
        """Raise ServerFull or NotNow where the server refused for what it is at the moment: a reason to wait.

        What it refused is not there, though it may have taken what came behind: then what was refused needs other ids.
        """
        refused = [isinstance(reply, (ServerFull, NotNow)) for reply in replies]
        if not any(refused):
            return
        failed = [isinstance(reply, BroodmindError) for reply in replies]
        if not resent and failed == refused:
            self.renumbered = self.outbox.sort_out(refused[:outgoing])
            # At its limit a server has kept the rest. Another one may answer next, which has to be sent it again.
            self._broken = any(isinstance(reply, NotNow) for reply in replies)
        raise replies[refused.index(True)]

    def _note(self, added: list[Reply], answers: list[Reply], *, resent: bool) -> list[EntryId]:
        refused = [_is_there(reply) for reply in added]
        for reply, known in zip([*added, *answers], [*refused, *(False for _ in answers)], strict=True):
            if isinstance(reply, BroodmindError) and not known:
                raise reply
        if any(refused) and not resent:
            self.outbox.withdraw(refused)
            self._broken = False  # what is numbered anew must not count as arrived if it is refused for this again
            raise NameTaken(f"actor: {self.actor!r} is the name of another process too, expected one of its own")
        safe = self.outbox.acknowledge(monotonic_s(), resent=resent)
        *_, latest, self.backlog = answers
        if latest is not None:
            self.latest = Pointer.from_json(latest)
        return safe

    def _heartbeat(self) -> list[tuple[Argument, ...]]:
        key = self._keys.heartbeat(self.actor)
        elapsed_s = monotonic_s() - self._began_s
        fields: dict[str, Argument] = {
            "host": platform.node(),
            "pid": os.getpid(),
            "state": self.state,
            "high_water": self.high_water,
            "epoch": self.latest.epoch if self.latest else 0,
            "version": self.latest.version if self.latest else 0,
            "steps": self._steps,
            "games": self._games,
            "steps_per_second": f"{self._steps / max(elapsed_s, 1e-9):.0f}",
            "updated_ms": now_ms(),
            **self.metrics,
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


def _is_there(reply: Reply) -> bool:
    """Whether an entry was refused because it, or a later one, is in the stream."""
    return isinstance(reply, BroodmindError) and "equal or smaller" in str(reply)
