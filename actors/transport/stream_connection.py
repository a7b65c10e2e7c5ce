"""One actor's connection to its run. Each call is one attempt; the caller decides whether to try again.

`BlockingActorConnection` builds on it for games that can wait, `SenderThread` uses it for games that cannot. The
`Delivery` decides which entries are sent, and which are sent again after a lost connection.
"""

from __future__ import annotations

import secrets
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError, NameTaken, RedisUnreachable
from ...common.process.clock import Every, monotonic_s
from ...common.process.log import Log
from ...common.process.throughput import Throughput
from ...common.server.keys import Keys, check_name
from ...common.server.server_clock import ServerClock
from ...common.server.streams import NotNow, Server, ServerFull
from ...common.spec import RunSpec
from ...common.wire.demand import Demand
from ...common.wire.evaluation_plan import EvaluationPlan
from ...common.wire.weights import Pointer
from .ack_journal import Journal
from .credit import Unconsumed, amount_of
from .entry import Answer, answer_to_xadd
from .heartbeat import HEARTBEAT_S, ActorStatus, heartbeat_commands, heartbeat_fields
from .incarnation import incarnation_text, take_incarnation
from .stored_versions import NO_EVALUATION, StoredVersions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ...common.server.streams import Argument, Reply
    from .delivery import Delivery
    from .entry import Entry

_log = Log("actor")

_OFFER_TTL_MS = 5_000

# Each round trip brings both texts, and they rarely change: most are not parsed again.
_pointer, _demand = lru_cache(Pointer.from_json), lru_cache(Demand.from_json)
_plan = lru_cache(EvaluationPlan.from_json)

# Over a link whose round trip takes this long, entries are sent again some at a time, all in about _RESEND_S: one by
# one, what was played in a few seconds would take minutes, in which the link may break again.
_SLOW_S = 0.02
_RESEND_S = 1.0
_RESEND_BYTES = 1 << 18  # of several at once


class ActorConnection:
    """The connection of one actor to its run. For one thread."""

    def __init__(
        self,
        url: str,
        run: str,
        actor: str,
        delivery: Delivery,
        journals: Path | None = None,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        server: Server | None = None,
        clock: Callable[[], float] = monotonic_s,
        server_clock: ServerClock | None = None,
        evaluates: bool = False,
        comes_back: bool = False,
    ) -> None:
        """Prepare a connection that is made at the first call.

        Args:
            url: the server's URL.
            run: the run's name.
            actor: the actor's name in it.
            delivery: the entries to be sent.
            journals: the folder for the journal; None: none is written.
            heartbeat_s: the time between two heartbeats.
            server: a connection of the caller's, instead of one to `url`.
            clock: seconds, by which entries become safe.
            server_clock: by which the times in entries are; by default measured against this machine's.
            evaluates: whether to ask for the plan of greedy games.
            comes_back: another process of this name follows: `leave` keeps the heartbeat, which expires by itself.
        """
        self.actor = check_name("actor", actor)
        self._delivery, self._journals = delivery, journals
        self._keys = Keys(run)
        self._server, self._clock = server or Server(url), clock
        self._stream = self._keys.trajectories(actor)
        self._journal: Journal | None = None
        self._latest: Pointer | None = None
        self._demand: Demand | None = None
        self._evaluates, self._plan = evaluates, NO_EVALUATION
        self.unconsumed = Unconsumed()
        self._incarnation, self._nonce = 0, secrets.token_hex(4)
        self._steps, self._games = 0, 0
        self._throughput = Throughput()  # of the steps
        self._throughput.add(0)
        self._heartbeat_due = Every(heartbeat_s)
        self._server_clock = server_clock or ServerClock()
        self._status = ActorStatus("starting")  # as of the last round trip
        self.versions = StoredVersions(self._keys, self._server, self._call, self._beat)
        self._comes_back = comes_back

    @property
    def latest(self) -> Pointer | None:
        """The newest version as of the last round trip; None if none is known."""
        return self._latest

    @property
    def stream_length(self) -> int:
        """The number of this actor's entries that the learner had not consumed at the last round trip."""
        return self.unconsumed.entries

    @property
    def demand(self) -> Demand | None:
        """The learner's newest demand, as of the last round trip; None where none is known."""
        return self._demand

    @property
    def plan(self) -> EvaluationPlan:
        """The learner's plan for greedy games, as of the last round trip; without any where none is known."""
        return self._plan

    @property
    def incarnation(self) -> int:
        """The current incarnation; 0 before `enter`."""
        return self._incarnation

    @property
    def heartbeat_due(self) -> bool:
        """Whether the next round trip sends a heartbeat."""
        return self._heartbeat_due.over

    def ask_spec(self) -> RunSpec | None:
        """The run's spec, or None if no learner has written it yet."""
        raw = self._call("HGET", self._keys.spec, "json")
        return None if raw is None else RunSpec.from_json(raw)

    def offer(self, game: str) -> None:
        """Offer the run, which has no spec, a game: see `game_to_json`. An offer lasts some seconds."""
        self._call("SET", self._keys.offer(self.actor), game, "PX", _OFFER_TTL_MS)

    def enter(self) -> int:
        """Begin a new incarnation. It is higher than all that this name had, even if the clock went back.

        Returns:
            The previous incarnation, or 0 if the name is new.
        """
        before, ours = take_incarnation(self._call, self._keys.incarnation(self.actor), self._nonce)
        self._server_clock.keep(self._call)
        self._incarnation = self._delivery.begin(ours)
        self._close_journal()
        if self._journals is not None:
            self._journal = Journal(self._journals, self.actor, self._incarnation)
        return before

    def round_trip(
        self, status: ActorStatus, *, most: int | None = None, most_bytes: int | None = None, wait_ms: int = 0
    ) -> int:
        """Send entries, and the heartbeat when it is due; ask for the newest version, the demand, the stream's length.

        Args:
            status: for the heartbeat.
            most: how many queued entries to number and send at most; None: all.
            most_bytes: how many bytes of them, and one entry more; None: any number.
            wait_ms: the longest time that the server waits for a new version before it replies.

        Returns:
            How many entries were sent for the first time.

        Raises:
            RedisUnreachable, ServerFull, RedisDenied, ReplyError: no entry is lost; call this again.
            NameTaken: another process adds entries under this name. Call `enter` before the next attempt.
        """
        self._status = status
        self._server_clock.keep(self._call)
        self._send_again()
        numbered = self._delivery.number(most, most_bytes)
        self._steps += sum(entry.header.steps for entry in numbered)
        self._games += sum(entry.header.games for entry in numbered)
        if any(entry.header.steps for entry in numbered):
            self._throughput.add(self._steps)
        asked = [*(self._heartbeat() if self._heartbeat_due.due() else []), *self._queries(wait_ms)]
        entries, asked_s = self._delivery.start_sending(), self._clock()
        replies = self._replies([*(self._command(entry) for entry in entries), *asked])
        answers = [answer_to_xadd(reply) for reply in replies[: len(entries)]]
        self._acknowledged(self._delivery.answered(answers, self._clock()))
        if any(isinstance(reply, NotNow) for reply in replies):
            self._delivery.connection_lost()  # `Server` has closed it, and may connect to another server
        if (failure := _reason_to_fail(replies, answers, self.actor)) is not None:
            raise failure
        # Not as of now: the replies may have waited here while this process slept, and the server has crashed since.
        self._delivery.forget_safe(asked_s)
        self._observe(replies)
        return len(entries)

    def close(self) -> None:
        """Drop the connection, for those who have not entered."""
        self._server.close()

    def leave(self) -> None:
        """Remove the heartbeat: the learner strikes the actor off once its stream is empty."""
        try:
            if not self._comes_back:
                self._server.call("DEL", self._keys.heartbeat(self.actor))
        except RedisUnreachable:
            _log.info("left without removing the heartbeat", actor=self.actor)  # it expires by itself
        finally:
            self._server.close()
            self._close_journal()

    def _queries(self, wait_ms: int) -> list[tuple[Argument, ...]]:
        """The commands at the end of a round trip, whose replies `_observe` takes in."""
        queries: list[tuple[Argument, ...]] = []
        if wait_ms and self._latest is not None:
            known = f"{self._latest.epoch}-{self._latest.version}"
            queries.append(("XREAD", "COUNT", 1, "BLOCK", wait_ms, "STREAMS", self._keys.versions, known))
        queries += [("GET", self._keys.evaluation)] if self._evaluates else []
        return [*queries, ("GET", self._keys.latest), ("GET", self._keys.demand), ("XLEN", self._stream)]

    def _observe(self, replies: Sequence[Reply]) -> None:
        *before, latest, demand, stream_length = replies
        self.unconsumed.observe(stream_length)
        if latest is not None:
            self._latest = _pointer(latest)
        self._demand = None if demand is None else _demand(demand)
        if self._evaluates:
            self._plan = NO_EVALUATION if before[-1] is None else _plan(before[-1])

    def _call(self, *command: Argument) -> Reply:
        (reply,) = self._replies([command])
        if isinstance(reply, BroodmindError):
            if isinstance(reply, NotNow):
                self._delivery.connection_lost()
            raise reply
        return reply

    def _replies(self, commands: Sequence[tuple[Argument, ...]]) -> list[Reply]:
        """Send commands and return the replies. Only this method notices a lost connection."""
        try:
            return self._server.replies(commands)
        except BaseException:
            self._delivery.connection_lost()  # `Server` closes it, whatever was raised
            self._server_clock.doubt()
            raise

    def _command(self, entry: Entry) -> tuple[Argument, ...]:
        return entry.command(self._stream, self._server_clock.offset_ms, entry.overflow)

    def _send_again(self) -> None:
        """Send again what must be, in order: one by one, or over a slow link some at a time.

        In a pipeline a server could refuse an entry, take a later one, and so have no room for the refused one's id.
        One that is still loading refuses the first entry, which is always sent alone. So one that is lost in this way
        needs a server that is full, or becomes busy, and is not any more, within one pipeline.
        """
        entries, at_once = self._delivery.entries_to_resend(), 1
        while entries:
            self._beat()
            began_s, count = self._clock(), max(min(at_once, _fit(entries)), 1)
            sent, entries = entries[:count], entries[count:]
            self._arrived(sent, self._replies([self._command(entry) for entry in sent]))
            took_s = self._clock() - began_s
            if took_s > _SLOW_S:
                at_once = max(int(len(entries) * took_s / _RESEND_S), at_once)

    def _arrived(self, entries: Sequence[Entry], replies: Sequence[Reply]) -> None:
        """Take note of the replies to entries that were sent again, up to the first one that is refused."""
        for entry, reply in zip(entries, replies, strict=True):
            if answer_to_xadd(reply) is Answer.REFUSED:
                if isinstance(reply, NotNow):
                    self._delivery.connection_lost()
                raise reply
            if self._delivery.arrived(entry, self._clock()):
                self._acknowledged([entry])

    def _acknowledged(self, entries: list[Entry]) -> None:
        """Take note of what is known to be in the stream since now."""
        self.unconsumed.add(amount_of(each.header, each.size) for each in entries)
        self._write_journal(entries)

    def _write_journal(self, acknowledged: list[Entry]) -> None:
        """Write first acknowledgements to the journal, but not those of entries of an earlier incarnation.

        Each incarnation has a journal of its own, and the earlier one may list these entries already.
        """
        if self._journal is not None:
            ours = ((each.entry_id, each.header) for each in acknowledged if each.entry_id is not None)
            self._journal.write((entry_id[1], header) for entry_id, header in ours if entry_id[0] == self._incarnation)

    def _close_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _heartbeat(self) -> list[tuple[Argument, ...]]:
        fields = heartbeat_fields(
            self._status,
            latest=self._latest,
            steps=self._steps,
            games=self._games,
            steps_per_second=self._throughput.per_second(),
            overflow=self._delivery.overflow_of_incarnation,
            unconsumed_steps=round(self.unconsumed.amount.steps),
            clock_skew_ms=self._server_clock.skew_ms,
        )
        return heartbeat_commands(self._keys, self.actor, incarnation_text(self._incarnation, self._nonce), fields)

    def _beat(self) -> None:
        """Send the heartbeat if it is due; without an incarnation there is none."""
        if self._incarnation and self._heartbeat_due.due():
            replies = self._replies(self._heartbeat())
            if any(isinstance(reply, NotNow) for reply in replies):
                self._delivery.connection_lost()


def _fit(entries: Sequence[Entry]) -> int:
    """How many of the first entries are sent again at once at most, by their bytes."""
    return bisect_right(list(accumulate(entry.size for entry in entries)), _RESEND_BYTES)


def _reason_to_fail(replies: Sequence[Reply], answers: Sequence[Answer], actor: str) -> BroodmindError | None:
    """The first error that is a reason to wait, or else the first error, or else NameTaken; None without an error.

    It is NameTaken if "equal or smaller" is the only error.
    """
    errors = [(at, reply) for at, reply in enumerate(replies) if isinstance(reply, BroodmindError)]
    for _, error in errors:
        if isinstance(error, (ServerFull, NotNow)):
            return error
    for at, error in errors:
        if at >= len(answers) or answers[at] is not Answer.EQUAL_OR_SMALLER:
            return error
    if errors:
        return NameTaken(f"actor: {actor!r} is used by another process too, expected a name of its own")
    return None
