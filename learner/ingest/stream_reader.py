"""Reads the actors' streams in order and under the lease. Each method is one step of the ingest thread.

The reader never reads far ahead. Entries that are not read stay in the streams, where the actors see the backlog and
wait.
"""

from __future__ import annotations

import time
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING

from ...common.process.clock import Every
from ...common.server.streams import ReplyError, Script, parse_id
from ..commit.lease import fenced
from ..flow.standstill import StandstillWatch
from ..roster.roster import Roster
from .entry_decoder import EntryDecoder, oversize_entry, poison_entry
from .fenced_read import Wanted, read_large
from .handover_queue import HandoverQueue
from .memory_watch import MemoryWatch
from .quarantine import Quarantine
from .useless_entries import USELESS, UselessEntries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...common.server.keys import Keys
    from ...common.server.streams import Server
    from ...common.spec import RunSpec
    from ...common.wire.entry_header import Header
    from ..commit.lease import Lease
    from ..flow.flow import Flow
    from ..ledger.counters import Rejection
    from ..ledger.stream_entry import Entry
    from .fenced_read import FencedReads, Unread

_DEMAND = Script(files(__package__).joinpath("demand.lua").read_text())
ENTRIES_PER_READ = 16  # of each stream
_DEMAND_EVERY_S = 1.0  # even where it is unchanged: a server may have lost it
BYTES_PER_READ = 32 << 20  # of all streams together, and one entry more
_STREAMS_PER_ENTRY = 16  # a look that finds fewer entries than one in so many streams is followed by a rest


class StreamReader:
    """Reads the streams into a queue of entries. All methods are for one thread; another one takes from `queue`."""

    def __init__(
        self,
        server: Server,
        reads: FencedReads,
        keys: Keys,
        lease: Lease,
        spec: RunSpec,
        rejection: Callable[[Header], Rejection | None],
        capacity_steps: int,
        flow: Flow,
        *,
        admits: Callable[[str], bool] = lambda _: True,
        trim_unread: bool = False,
        keep_payloads: bool = False,
        after_death: bool = True,
    ) -> None:
        """Create a reader that has joined no stream yet.

        Args:
            server: for all commands but the reads.
            reads: reads of the streams, on a connection of their own.
            keys: the names of the run's keys.
            lease: the learner's lease; without it nothing is read.
            spec: the run's spec.
            rejection: returns why an entry with this header is rejected now, or None.
            capacity_steps: the maximum number of steps that are read and not yet taken.
            flow: is told what is read, and says what the demand is.
            admits: whether an actor of this name may be admitted.
            trim_unread: whether to delete streams that nobody will read.
            keep_payloads: whether entries carry their whole payload, for the archive.
            after_death: whether the learner that read the pending entries may be dead, and is not known to have merely
                lost its connection.
        """
        self._server, self._keys, self._lease = server, keys, lease
        self._capacity_steps = capacity_steps
        self._flow, self._demand_due = flow, Every(_DEMAND_EVERY_S)
        self._decoder = EntryDecoder(spec, rejection, keep_payloads=keep_payloads)
        self.reads = reads
        self.roster = Roster(server, keys, lease, admits, trim_unread=trim_unread)
        self.quarantine = Quarantine(server, keys, lease, after_death=after_death)
        self.standstill = StandstillWatch(server, keys, lock_step=spec.rollout.lock_step)
        self._useless, self._memory = UselessEntries(), MemoryWatch(server)
        self._seen: Sequence[Unread] = ()  # there was this to read at the last look, and it was not asked for yet
        self._large: dict[str, Unread] = {}  # actor to its stream, where that holds more than one read may bring
        self._waiting: set[str] = set()  # streams for which the last read had no room
        self.queue = HandoverQueue()
        self.asking_s = 0.0  # CPU time of the last read's request, if it brought little; otherwise 0

    def follow_roster(self) -> None:
        """Search for actors that are not on the roster, and admit and join some of them."""
        for actor, pending in self.roster.follow():
            self.quarantine.examine(actor, pending)
        self._flow.follow(self.roster.contributing)

    def watch_for_standstill(self) -> None:
        """See whether actors are left that may send more before the next version."""
        self.standstill.look(self.roster.actors, all_taken=self.queue.empty)

    def publish_demand(self) -> None:
        """Tell actors how much they may have unconsumed, where that has changed. Raises LeaseLost."""
        changed = self._flow.revise(starving=self.queue.waited_for)
        if self._demand_due.due() or changed is not None:
            keys = [self._keys.lease, self._keys.demand]
            fenced(self._server, _DEMAND, keys, self._lease.token, self._flow.demand.to_json())

    def strike_off_silent(self) -> None:
        """Remove the actors from the roster that are silent and whose entries are all consumed."""
        self.roster.strike_off_silent()

    def read(self) -> bool:
        """Read the next poison candidate, or read once from all streams. Returns whether this brought anything.

        Nothing is read while the queue holds `capacity_steps` or more.

        Raises:
            LeaseLost: if this learner does not hold the lease any more.
        """
        self.asking_s = 0.0
        if self.queue.held_steps >= self._capacity_steps:
            return False
        try:
            if not (self.quarantine.empty or self.reads.under_way):
                return self._read_candidate()
            return self._read_all()
        except ReplyError as error:
            if error.code != "NOGROUP":
                raise
            self.roster.clear()  # a stream was deleted since it was joined: join all again
            self.quarantine.clear()
            self._seen = ()
            self.follow_roster()
            return False

    def close(self) -> None:
        """Drop the connections. Entries that were read and not committed stay pending in Redis."""
        self._server.close()
        self.reads.close()

    def give_back(self) -> None:
        """Return the poison candidate in hand, if any. Called after `close` by a learner that ends normally."""
        self.quarantine.give_back()
        self._server.close()

    def _read_all(self) -> bool:
        came = bool(self._large) and self._read_large()
        began_s = time.thread_time()  # of the request alone: the pause that follows from it would be seconds
        if not self.reads.under_way and not self._ask(self._take_seen() or self._look()):
            self.asking_s = time.thread_time() - began_s
            return came
        looked_at = self.reads.looked_at
        read, unread = self.reads.take()
        found = [(self._keys.actor_of(stream), raw_entries) for stream, raw_entries in read]
        for actor, raw_entries in found:
            self.roster.advance(actor, raw_entries[-1][0] if raw_entries else None)
        # At once: the server is at it while we decode. But a look at many streams costs more than a few entries bring.
        more = False
        if sum(len(raw_entries) for _, raw_entries in found) * _STREAMS_PER_ENTRY < looked_at:
            self._seen = unread
        elif self.quarantine.empty:
            more = self._ask(unread)
        self.asking_s = 0.0 if more else time.thread_time() - began_s
        for actor, raw_entries in found:
            for raw_id, raw_fields in raw_entries:
                came = True
                self._hand_over(self._decoder.decode(actor, parse_id(raw_id), raw_fields), _size(raw_fields))
        if came:
            self.queue.wake()
        return came

    def _take_seen(self) -> Sequence[Unread]:
        seen, self._seen = self._seen, ()
        return seen

    def _look(self) -> Sequence[Unread]:
        streams = self._due()
        return self.reads.look(streams) if streams else ()

    def _due(self) -> dict[str, str]:
        """The streams to be looked at now, each with the id after which it is read.

        Without those of which it is known that they wait for a read of their own: that may take long.
        """
        due = {actor: after for actor, after in self.roster.due().items() if actor not in self._large}
        if self._useless_wait():
            due = {actor: after for actor, after in due.items() if not self._useless.expected_of(actor, large=False)}
        return {self._keys.trajectories(actor): after for actor, after in due.items()}

    def _ask(self, unread: Sequence[Unread]) -> bool:
        """Ask for the next entries of streams that have some; whether there are such."""
        wanted = self._wanted(unread)
        if wanted:
            self.reads.ask(wanted, self._due())
        return bool(wanted)

    def _wanted(self, unread: Sequence[Unread]) -> list[Wanted]:
        """What to read next, within the bytes of a read."""
        wanted: list[Wanted] = []
        left, waiting = BYTES_PER_READ, self._waiting
        self._waiting = set()
        useless_wait = self._useless_wait()
        for each in sorted(unread, key=lambda each: each.stream not in waiting):
            actor = self._keys.actor_of(each.stream)
            position = self.roster.position(actor)
            if each.entries < 0:
                self._join_again(actor)
            elif position is None or (useless_wait and self._useless.expected_of(actor, large=False)):
                continue
            elif not 0 <= each.stream_bytes <= BYTES_PER_READ:
                self._large[actor] = each
            elif each.stream_bytes > left:
                self._waiting.add(each.stream)
            else:
                left -= each.stream_bytes
                wanted.append(Wanted(each.stream, position, min(max(each.entries, 1), ENTRIES_PER_READ)))
        return wanted

    def _useless_wait(self) -> bool:
        """Whether what is expected to be of no use is not read now. On a full server it is in the others' way."""
        return self._useless.exhausted(starving=self.queue.waited_for) and not self._memory.almost_full

    def _read_large(self) -> bool:
        """Read some entries of one stream that holds more than one read may bring."""
        actors = iter(self._large)
        if self._useless_wait():
            actors = (each for each in actors if not self._useless.expected_of(each, large=True))
        actor = next(actors, None)
        if actor is None:
            return False
        unread = self._large.pop(actor)
        position = self.roster.position(actor)
        if position is None:
            return False
        count = min(max(unread.entries, 1), ENTRIES_PER_READ)
        wanted = Wanted(unread.stream, position, count)
        found = read_large(self._server, self._keys, self._lease, wanted, BYTES_PER_READ)
        self.roster.advance(actor, found[-1][0] if found else None)
        for raw_id, raw_fields, size in found:
            entry_id = parse_id(raw_id)
            if size:
                self._hand_over(oversize_entry(actor, entry_id, raw_fields, size), size)
            else:
                self._hand_over(self._decoder.decode(actor, entry_id, raw_fields), _size(raw_fields))
        if found:
            self.queue.wake()
        return bool(found)

    def _join_again(self, actor: str) -> None:
        for each, pending in self.roster.join_again([actor]):
            self.quarantine.examine(each, pending)

    def _read_candidate(self) -> bool:
        """Hand over the next poison candidate, if the previous one is committed. Returns False if it is not."""
        if self.quarantine.awaits_commit():
            return False
        claimed = self.quarantine.claim_next()
        if claimed is not None:
            candidate, raw_fields, size = claimed
            if candidate.poison:
                entry = poison_entry(candidate.actor, candidate.id, raw_fields)
            elif size:
                entry = oversize_entry(candidate.actor, candidate.id, raw_fields, size)
            else:
                entry = self._decoder.decode(candidate.actor, candidate.id, raw_fields)
            self._hand_over(replace(entry, processed_solo=True), size or _size(raw_fields))
            self.queue.wake()
        return True

    def _hand_over(self, entry: Entry, size: int) -> None:
        if entry.header is None or entry.rejected or not entry.header.evaluation:  # which costs little to read
            self._useless.arrived(entry.actor, entry.rejected, size)
        self.standstill.entry_arrives()
        self._flow.arrives(entry.actor, entry.header, useful=entry.rejected not in USELESS)
        self.queue.put(entry)


def _size(raw_fields: Sequence[bytes] | None) -> int:
    """The bytes of an entry's last field: of its payload, if it has one."""
    return len(raw_fields[-1]) if raw_fields else 0
