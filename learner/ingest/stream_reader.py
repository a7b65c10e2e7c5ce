"""Ingest: a thread that reads the actors' streams, in order and under the lease, and decodes what it reads.

It never reads far ahead: what is not read stays in the streams, where the actors see the backlog and wait.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError, WireError
from ...common.process.clock import Every
from ...common.process.log import Log
from ...common.server.keys import CONSUMER, GROUP, NAME, SOLO_CONSUMER
from ...common.server.streams import ReplyError, Script, Server, format_id, parse_id
from ...common.wire.trajectory import parse_entry
from ..commit.lease import fenced
from ..ledger.stream_entry import Entry, EntryId
from .cached_layout_decoder import Decoder
from .quarantine import poison_candidates

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.server.keys import Keys
    from ...common.server.streams import Reply
    from ...common.spec import RunSpec
    from ...common.wire.trajectory import Header
    from ..commit.lease import Lease
    from ..ledger.counters import Rejection
    from .fenced_read import FencedReads
    from .quarantine import PoisonCandidate

_JOIN = Script(files(__package__).joinpath("join.lua").read_text())
_CLAIM = Script(files(__package__).joinpath("claim.lua").read_text())
_DEPART = Script(files(__package__).joinpath("depart.lua").read_text())
_log = Log("ingest")

ROSTER_MAX = 4096  # actors read; a roster flooded with names must not become an endless read
_PENDING_MAX = 1 << 16  # far more than a learner reads ahead
_ROSTER_EVERY_S = 0.2
_DEPART_EVERY_S = 10.0
_POLL_MIN_S, _POLL_MAX_S = 0.0005, 0.02
_REST = 4  # times as long as asking kept us busy: with a thousand streams we would do nothing else
_SHOWN_BYTES = 4096  # of a rejected payload, kept for whoever looks into it


class Ingest:
    """Reads in a thread of its own, from `start` to `close`; `take` hands over what it has, in the order read."""

    def __init__(
        self,
        server: Server,
        reads: FencedReads,
        keys: Keys,
        lease: Lease,
        spec: RunSpec,
        rejection: Callable[[Header], Rejection | None],
        capacity_steps: int,
        *,
        keep_payloads: bool = False,
    ) -> None:
        self._server, self._reads, self._keys, self._lease, self._spec = server, reads, keys, lease, spec
        self._decoder = Decoder(spec)
        self._rejection = rejection  # what is rejected by its header already is never decoded
        self._capacity_steps = capacity_steps  # what may be held, read and not yet taken
        self._keep_payloads = keep_payloads  # for an archive
        self._held_steps = 0  # written by both threads; being off by one read is harmless
        self._positions: dict[str, str] = {}  # actor to the id to read after: pending ones first, then ">"
        self._actors: dict[bytes, str] = {}  # of the streams that were asked last
        self._suspects: deque[PoisonCandidate] = deque()  # read before everything else, one at a time
        self._suspect_in_hand = False  # the first of them
        self._after_death = True
        self._unreadable: set[str] = set()
        self._entries: deque[Entry | BroodmindError] = deque()  # read and not yet taken
        self._arrived = threading.Event()  # set whenever there may be some
        self._asking_s = 0.0  # of this thread's own time, in the last read
        self._came = False  # anything, since the last look for a standstill
        self._blocked_since: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)

    def start(self, *, after_death: bool) -> None:
        """Begin to read, entries that an earlier learner left pending first.

        Args:
            after_death: whether that one has died, for all that is known; or was ourselves, and lost its connection.
        """
        self._after_death = after_death
        self._thread.start()

    def close(self) -> None:
        """Stop reading and wait for the thread. What was read and not committed stays pending in Redis."""
        self._closing = True
        if self._thread.ident is not None:  # it may not have been started yet
            self._thread.join(timeout=10)  # above the connection's timeout: it is never in one call for longer
        self._server.close()
        self._reads.close()

    def give_back(self) -> None:
        """After `close`, by a learner that ends well: a suspect it did not get to has proved nothing."""
        if self._suspect_in_hand:
            self._claim(self._suspects[0], CONSUMER)
            self._server.close()

    def take(self, timeout_s: float) -> Entry | None:
        """The next entry, or None after `timeout_s` without one. Raises what ended the thread."""
        if not self._entries:
            self._arrived.clear()
            if not self._entries:  # none has come just before
                self._arrived.wait(timeout_s)
            if not self._entries:
                return None
        entry = self._entries.popleft()
        if isinstance(entry, BroodmindError):
            raise entry
        self._held_steps -= _size(entry)
        return entry

    @property
    def blocked_s(self) -> float:
        """For how long every live actor has been at high water with nothing left to read: more than this won't come."""
        since = self._blocked_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def actors(self) -> list[str]:
        """The actors being read."""
        return list(self._positions)

    def _run(self) -> None:
        try:
            self._loop()
        except BroodmindError as error:
            self._entries.append(error)
        except Exception as error:  # noqa: BLE001 - a thread's error must end the process, not vanish with the thread
            _log.warning("ingest failed", error=repr(error))
            self._entries.append(BroodmindError(f"ingest: {error!r}"))
        self._arrived.set()

    def _loop(self) -> None:
        roster, departures, renewal = Every(_ROSTER_EVERY_S), Every(_DEPART_EVERY_S), Every(self._lease.ttl_ms / 3000)
        departures.due()
        pause = _POLL_MIN_S
        while not self._closing:
            if roster.due():
                self._follow_roster()
                self._watch_for_a_standstill()
            if not self._reads.under_way and departures.due():  # it may name a stream that would be gone
                self._strike_off_the_silent()
            if renewal.due():
                self._lease.renew(self._server)
            started, self._asking_s = time.thread_time(), 0.0
            if self._held_steps < self._capacity_steps and self._read():
                pause, least = _POLL_MIN_S, 0.0
            else:  # nothing to do: wait, longer each time
                pause, least = min(2 * pause, _POLL_MAX_S), pause
            # Never spend more than a fifth of the time on asking for little; decoding what came is as good as a rest.
            decoding_s = time.thread_time() - started - self._asking_s
            time.sleep(max(least, _REST * self._asking_s - decoding_s))

    def _follow_roster(self) -> None:
        names = [raw.decode(errors="replace") for raw in self._server.call("HKEYS", self._keys.roster)]
        actors = {name for name in names if NAME.fullmatch(name)}
        for actor in sorted(actors - self._positions.keys() - self._unreadable)[: ROSTER_MAX - len(self._positions)]:
            self._join(actor)
        for actor in self._positions.keys() - actors:
            del self._positions[actor]

    def _join(self, actor: str) -> None:
        try:
            self._server.script(_JOIN, [self._keys.trajectories(actor)], GROUP)
        except ReplyError as error:
            if error.code == "WRONGTYPE":  # reading it would fail the read of all the others too
                self._unreadable.add(actor)
                _log.warning("actor left out: its key is no stream", actor=actor)
                return
            if error.code != "BUSYGROUP":
                raise
        self._positions[actor] = "0-0"
        pending = self._server.call("XPENDING", self._keys.trajectories(actor), GROUP, "-", "+", _PENDING_MAX)
        self._suspects.extend(poison_candidates(actor, pending, after_death=self._after_death))
        _log.info("actor joined", actor=actor, pending=len(pending))

    def _strike_off_the_silent(self) -> None:
        actors = self.actors
        heard = self._server.pipeline([("EXISTS", self._keys.heartbeat(actor)) for actor in actors])
        for actor in (actor for actor, alive in zip(actors, heard, strict=True) if not alive):
            stream = self._keys.trajectories(actor)
            keys = [self._keys.lease, self._keys.roster, self._keys.heartbeat(actor), stream]
            if fenced(self._server, _DEPART, keys, self._lease.token, actor):
                del self._positions[actor]
                _log.info("actor left", actor=actor)

    def _watch_for_a_standstill(self) -> None:
        came, self._came = self._came, False
        if came or self._entries:  # two commands an actor, which need not be asked then
            self._blocked_since = None
            return
        usual = 1 if self._spec.rollout.lock_step else self._spec.rollout.high_water
        actors = self.actors
        backlogs = self._server.pipeline([("XLEN", self._keys.trajectories(actor)) for actor in actors])
        asked = [("HMGET", self._keys.heartbeat(actor), "state", "high_water") for actor in actors]
        full = [_mark(raw, usual) if alive else 0 for alive, raw in self._server.pipeline(asked)]
        if not any(backlogs) or any(n < mark for n, mark in zip(backlogs, full, strict=True)):
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = time.monotonic()

    def _read(self) -> bool:
        """Read the next suspect, or once from all streams; whether anything came."""
        try:
            if self._suspects and not self._reads.under_way:
                return self._read_solo(self._suspects[0])
            return self._read_all()
        except ReplyError as error:
            if error.code != "NOGROUP":
                raise
            self._positions.clear()  # a stream was deleted under us: join it again
            self._suspects.clear()
            self._suspect_in_hand = False
            self._follow_roster()
            return False

    def _read_all(self) -> bool:
        began_s = time.thread_time()
        if not (self._reads.under_way or self._ask()):
            return False
        found = [(self._actors[stream], raw_entries) for stream, raw_entries in self._reads.take()]
        for actor, raw_entries in found:
            if self._positions.get(actor, ">") != ">":
                self._positions[actor] = raw_entries[-1][0].decode() if raw_entries else ">"
        most = max((len(raw_entries) for _, raw_entries in found), default=0)
        more = most >= self._spec.rollout.high_water  # where a stream gave all that it was asked for
        if more and not self._suspects and self._held_steps < self._capacity_steps:
            self._ask()  # at once: the server is at it while we decode
        self._asking_s = 0.0 if more else time.thread_time() - began_s
        for actor, raw_entries in found:
            for raw_id, raw_fields in raw_entries:
                self._hold(self._decode(actor, parse_id(raw_id), raw_fields))
        if most:
            self._arrived.set()  # not for each: whoever takes them would want the interpreter when we do
        return bool(most)

    def _ask(self) -> bool:
        """Ask for the next entries of all streams; whether there is a stream to ask."""
        streams = [self._keys.trajectories(actor) for actor in self._positions]
        self._actors = {stream.encode(): actor for stream, actor in zip(streams, self._positions, strict=True)}
        if streams:
            after = dict(zip(streams, self._positions.values(), strict=True))
            self._reads.ask(after, self._spec.rollout.high_water)
        return bool(streams)

    def _hold(self, entry: Entry) -> None:
        """Keep an entry for whoever takes it; `_arrived` is still to be set."""
        self._came = True
        self._blocked_since = None  # before the entry is there to be taken: whoever has it must not see an old time
        self._held_steps += _size(entry)
        self._entries.append(entry)

    def _read_solo(self, suspect: PoisonCandidate) -> bool:
        """Hand a suspect over, and nothing after it before it is committed."""
        if self._suspect_in_hand:
            stream, entry_id = self._keys.trajectories(suspect.actor), format_id(suspect.id)
            if self._server.call("XPENDING", stream, GROUP, entry_id, entry_id, 1):
                return False
        raw_entries = [] if self._suspect_in_hand else self._claim(suspect, SOLO_CONSUMER)
        self._suspect_in_hand = bool(raw_entries)
        if not raw_entries:  # it is committed, or was gone from the stream
            self._suspects.popleft()
            return True
        ((_, raw_fields),) = raw_entries
        _log.warning("processed by itself: delivered often", actor=suspect.actor, id=format_id(suspect.id))
        if suspect.poison:
            problem = "a learner died while it processed nothing else, expected it to live"
            shown = bytes(raw_fields[-1][:_SHOWN_BYTES])
            entry = Entry(suspect.actor, suspect.id, None, None, "poison", problem, shown)
        else:
            entry = self._decode(suspect.actor, suspect.id, raw_fields)
        self._hold(replace(entry, processed_solo=True))
        self._arrived.set()
        return True

    def _claim(self, suspect: PoisonCandidate, consumer: str) -> list[Reply]:
        keys = [self._keys.lease, self._keys.trajectories(suspect.actor)]
        arguments = (self._lease.token, self._lease.ttl_ms, GROUP, consumer, format_id(suspect.id))
        entries: list[Reply] = fenced(self._server, _CLAIM, keys, *arguments)
        return entries

    def _decode(self, actor: str, entry_id: EntryId, raw: list[bytes] | None) -> Entry:
        header = None
        payload = kept = b""
        try:
            header, payload = parse_entry(raw)
            kept = payload if self._keep_payloads else b""
            if reason := self._rejection(header):
                return Entry(actor, entry_id, header, None, reason, payload=kept)
            trajectory = self._decoder.decode(payload, header, actor)
            return Entry(actor, entry_id, header, trajectory, payload=kept)
        except WireError as error:
            return Entry(actor, entry_id, header, None, "invalid", str(error), payload[:_SHOWN_BYTES], payload=kept)


def _mark(raw: bytes | None, usual: int) -> int:
    """The high water that an actor says is its own."""
    return int(raw) if raw is not None and raw.isdigit() and len(raw) < 10 else usual


def _size(entry: Entry) -> int:
    return entry.trajectory.valid.size if entry.trajectory else 1
