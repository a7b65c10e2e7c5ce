"""Reads the actors' streams in order and under the lease. Each method is one step of the ingest thread.

It never reads far ahead: what is not read stays in the streams, where the actors see the backlog and wait.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ...common.server.streams import ReplyError, parse_id
from .entry_decoder import EntryDecoder, poison_entry
from .handover_queue import HandoverQueue
from .quarantine import Quarantine
from .roster import Roster
from .standstill import StandstillWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.server.keys import Keys
    from ...common.server.streams import Server
    from ...common.spec import RunSpec
    from ...common.wire.trajectory import Header
    from ..commit.lease import Lease
    from ..ledger.counters import Rejection
    from ..ledger.stream_entry import Entry
    from .fenced_read import FencedReads


class StreamReader:
    """From the streams to a queue of entries. All methods are for one thread; another one takes from `queue`."""

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
        after_death: bool = True,
    ) -> None:
        """What it reads with.

        Args:
            server: for all commands but the reads.
            reads: reads of the streams, on a connection of their own.
            keys: the run's.
            lease: the learner's, without which it reads nothing.
            spec: the run's.
            rejection: why an entry with such a header is rejected now, or None.
            capacity_steps: how many steps may be read and not yet taken.
            keep_payloads: whether entries carry their whole payload, for an archive.
            after_death: whether the learner that read what is pending has died, for all that is known, and has not
                merely lost its connection.
        """
        self._server, self._keys, self._lease = server, keys, lease
        self._capacity_steps = capacity_steps
        self._high_water = spec.rollout.high_water
        self._decoder = EntryDecoder(spec, rejection, keep_payloads=keep_payloads)
        self._streams: dict[bytes, str] = {}  # those asked last, and whose they are
        self.reads = reads
        self.roster = Roster(server, keys, lease)
        self.quarantine = Quarantine(server, keys, lease, after_death=after_death)
        self.standstill = StandstillWatch(server, keys, spec.rollout)
        self.queue = HandoverQueue()
        self.asking_s = 0.0  # CPU time that the last read spent on asking, where it brought little

    def follow_roster(self) -> None:
        """Join the streams of actors that are new on the roster, and leave those that are not on it any more."""
        for actor, pending in self.roster.follow():
            self.quarantine.examine(actor, pending)

    def watch_for_standstill(self) -> None:
        """See whether every live actor is waiting for the learner."""
        self.standstill.look(self.roster.actors, all_taken=self.queue.empty)

    def strike_off_silent(self) -> None:
        """Take silent and drained actors off the roster."""
        self.roster.strike_off_silent()

    def renew_lease(self) -> None:
        """Keep the lease where nothing is read."""
        self._lease.renew(self._server)

    def read(self) -> bool:
        """Read the next poison candidate, or once from all streams. Returns whether anything came.

        Nothing is read where as much is held as may be.

        Raises:
            LeaseLost: if the lease is not ours any more.
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
            self.roster.clear()  # a stream was deleted under us: join it again
            self.quarantine.clear()
            self.follow_roster()
            return False

    def close(self) -> None:
        """Drop the connections. What was read and not committed stays pending in Redis."""
        self._server.close()
        self.reads.close()

    def give_back(self) -> None:
        """After `close`, by a learner that ends well: a candidate it did not get to has proved nothing."""
        self.quarantine.give_back()
        self._server.close()

    def _read_all(self) -> bool:
        began_s = time.thread_time()
        if not (self.reads.under_way or self._ask()):
            return False
        found = [(self._streams[stream], raw_entries) for stream, raw_entries in self.reads.take()]
        for actor, raw_entries in found:
            self.roster.advance(actor, raw_entries[-1][0] if raw_entries else None)
        most = max((len(raw_entries) for _, raw_entries in found), default=0)
        more = most >= self._high_water  # where a stream gave all that it was asked for
        if more and self.quarantine.empty:
            self._ask()  # at once: the server is at it while we decode
        self.asking_s = 0.0 if more else time.thread_time() - began_s
        for actor, raw_entries in found:
            for raw_id, raw_fields in raw_entries:
                self._hand_over(self._decoder.decode(actor, parse_id(raw_id), raw_fields))
        if most:
            self.queue.wake()
        return bool(most)

    def _ask(self) -> bool:
        """Ask for the next entries of all streams; whether there is a stream to ask."""
        positions = self.roster.positions
        streams = [self._keys.trajectories(actor) for actor in positions]
        self._streams = {stream.encode(): actor for stream, actor in zip(streams, positions, strict=True)}
        if streams:
            self.reads.ask(dict(zip(streams, positions.values(), strict=True)), self._high_water)
        return bool(streams)

    def _read_candidate(self) -> bool:
        """Hand a poison candidate over, and nothing after it before it is committed."""
        if self.quarantine.awaits_commit():
            return False
        claimed = self.quarantine.claim_next()
        if claimed is not None:
            candidate, raw_fields = claimed
            make = poison_entry if candidate.poison else self._decoder.decode
            self._hand_over(replace(make(candidate.actor, candidate.id, raw_fields), processed_solo=True))
            self.queue.wake()
        return True

    def _hand_over(self, entry: Entry) -> None:
        self.standstill.entry_arrives()
        self.queue.put(entry)
