"""The delivery of finished games and fragments: one state machine from the end of the play to the server's disk.

    put ──► QUEUED ──► NUMBERED ──► SENT ──► ACKNOWLEDGED ──► SAFE
              │ ▲          ▲          │            │  ▲
              ▼ └──────────┼──────────┤            ▼  │
           DROPPED         └──────────┘           DOUBTED

An entry's id is INCARNATION-SEQUENCE and is chosen here. Redis refuses an id that is not above the stream's last as
"equal or smaller". So an entry whose reply was lost is sent again under its id, and is in the stream once either way.
`appendfsync everysec` may lose acknowledged entries in a crash: an entry is kept, and sent again after a lost
connection, until it is SAFE.

Other transitions:

- Dropped: the queue is full, or a spool file cannot be read. One number for each dropped entry is left out before the
  next entry's number, and the learner counts the gap as lost entries.
- Given up: a client that is ahead of the learner does not record some games. They are never put here, so they have no
  number and leave no gap. Each entry contains their total; an entry that is sent again contains the same total.
- Refused for now (the server is full or busy): the entry keeps its id if the server took no later entry. Otherwise its
  id has become too small, and it is numbered again, after all others.
- Taken back: the server has a higher id, of an entry that is not ours, so another process uses the actor's name. The
  entries that the server did not take return to the front of the queue, and are numbered again under a higher
  incarnation.
- Resumed: entries that an earlier process may have sent are found in the spool, in files named after their ids. They
  begin as SENT.

Invariants:

1. An entry is in exactly one state, and changes it only along `TRANSITIONS`.
2. Ids strictly rise in the order of first sending. After a lost connection the entries that have an id are, in the
   order of their ids, DOUBTED, then SENT, then NUMBERED.
3. While an entry is DOUBTED, or was SENT on a connection that was lost, nothing new is numbered or sent. Entries are
   sent again in the order of their ids, the first one alone, and unless the link is slow each one only after the server
   has the one before it.
4. "Equal or smaller" means that the entry has arrived only if it was DOUBTED or SENT. For an entry that is sent for the
   first time it means that another process uses the name.
5. A number is left out for each dropped entry that a numbered one follows, and for each id that became too small.
6. `queued` counts the games of what is QUEUED, NUMBERED and SENT; `sent` those of ACKNOWLEDGED, DOUBTED and SAFE;
   `lost` those of DROPPED. Their sum is the number of games that were put or found in the spool.
7. A spool file is removed when its entry is SAFE or DROPPED. It is renamed after the id before the entry is SENT.
8. Within an incarnation, the total of games given up never falls from one entry to the next. It starts with the games
   that no acknowledged entry of an earlier incarnation of this process has counted. Entries found in the spool have 0.

One loss remains possible. The server refuses an entry for now and takes a later one of the same pipeline, and the
connection is lost, or the process is killed, before the replies are processed. When the refused entry is sent again,
the server calls it "equal or smaller" as if it had arrived, and an actor has no right to read its stream. The entry is
lost, and the learner counts the gap. Only sending one by one would exclude this, at the cost of a round trip for each
entry. Over a slow link it may happen when entries are sent again, too. The same holds for DOUBTED entries if another
process adds an entry under the same name before they are sent again.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from .entry import Answer, Entry, State
from .send_queue import Limits, SendQueue
from .spooled_entries import SpooledEntries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...common.wire.entry_header import Header
    from .entry import EntryId
    from .spooled_entries import EntryFiles

# appendfsync everysec may lose up to two seconds of acknowledged writes; twice that covers a slow disk.
REPLAY_S = 4.0


class Delivery:
    """The entries of one actor.

    One thread puts entries in, another one numbers and sends; both may be the same. The counts may be read from any
    thread. The lock is not held during reads and writes of files.
    """

    def __init__(self, limits: Limits | None = None, spool: EntryFiles | None = None) -> None:
        """Begin with the entries in the spool.

        Args:
            limits: how much may be queued; None: any amount.
            spool: where entries are kept on disk until they are safe; None keeps them in memory alone.
        """
        self._files = SpooledEntries(spool)
        self.queue_games = (limits or Limits()).queue_games
        self._changed = threading.Condition()  # guards the queue, the gap and the counts
        self._queue = SendQueue(limits, spooled=spool is not None)
        self._gap = 0  # numbers to leave out before the next one
        self._unacknowledged: deque[Entry] = deque()  # SENT, then NUMBERED
        self._acknowledged: deque[Entry] = deque()  # ACKNOWLEDGED, then DOUBTED
        self._incarnation, self._sequence = 0, 0
        self.ready = False  # an incarnation has begun, and no other process uses the name: entries may be numbered
        self._unacknowledged_entries = 0
        self.queued = self.sent = self.lost = 0  # games
        self.spooled = 0  # of the queued ones, those on disk
        self.queued_steps = self.queued_bytes = 0  # of the queued games; steps as far as they are known
        self.overflow = 0  # games given up before their first step
        self._told = 0  # of these, what acknowledged entries have told
        self._told_before = 0  # the same, when the incarnation began
        self.largest = 0  # bytes of one entry so far
        self.closed = False
        self._resume()

    # For the thread that puts entries in.

    def put(self, header: Header, payload: bytes) -> None:
        """Append an entry to the queue. If there is no room, the oldest entries are dropped."""
        steps = 0 if header.evaluation else header.steps  # which it takes of nobody's batch
        entry = Entry(len(payload), (header, payload), games=header.games, steps=steps)
        self._files.write(entry)
        self._append(entry)

    # For the threads that play.

    def give_up(self) -> None:
        """Count a game that is not recorded from its first step on, as there is no room for it."""
        with self._changed:
            self.overflow += 1

    # For the thread that sends.

    @property
    def overflow_of_incarnation(self) -> int:
        """Games given up, as the next entry tells it: without what was told under earlier incarnations."""
        return self.overflow - self._told_before

    @property
    def last_id(self) -> EntryId:
        """The id that was given last. Its number is 0 if none was given under this incarnation."""
        return self._incarnation, self._sequence

    def begin(self, incarnation: int) -> int:
        """Number from 1 on under this incarnation, or under a higher one if it is not higher than the one before.

        Returns:
            The incarnation that is used.
        """
        self._incarnation = max(incarnation, self._incarnation + 1)
        self._sequence, self.ready = 0, True
        self._told_before = self._told
        return self._incarnation

    def entries_to_resend(self) -> list[Entry]:
        """The entries that must be sent again before anything else, in order, with their contents in memory.

        Send the first one alone, and call `arrived` after each. In a pipeline, a server that is still loading, or full,
        could refuse the first entry and take the second, and then call the first one "equal or smaller".
        """
        if not self._in_doubt:
            return []
        doubted = [entry for entry in self._acknowledged if entry.state is State.DOUBTED]
        sent: list[Entry] = []
        for entry in [entry for entry in self._unacknowledged if entry.state is State.SENT]:
            if self._files.load(entry):
                sent.append(entry)
            else:
                self._unacknowledged.remove(entry)
                self._drop([entry])
        return doubted + sent

    def arrived(self, entry: Entry, now_s: float) -> bool:
        """Note that the server has an entry that was sent again; returns whether this is its first acknowledgement."""
        first = entry.state is State.SENT
        if first:
            assert self._unacknowledged[0] is entry
            self._unacknowledged.popleft()
            self._acknowledged.append(entry)
            self._count_sent([entry])
        entry.move(State.ACKNOWLEDGED)
        entry.acknowledged_s = now_s  # the server may have written it only now
        return first

    def number(self, most: int | None = None, most_bytes: int | None = None) -> list[Entry]:
        """Give ids to the oldest entries in the queue, and return these.

        Args:
            most: how many at most; None: all.
            most_bytes: how many bytes of them, and one entry more; None: any number.
        """
        assert self.ready
        assert not self._in_doubt
        numbered: list[Entry] = []
        numbered_bytes = 0
        while self._queue and not (
            (most is not None and len(numbered) >= most) or (most_bytes is not None and numbered_bytes >= most_bytes)
        ):
            with self._changed:
                if not self._queue:
                    break  # the other thread has just dropped it
                entry = self._queue.pop()
                entry.gap, self._gap = self._gap, 0
            if not self._files.load(entry):
                self._drop([entry])
                continue
            self._sequence += entry.gap
            self._give_next_id(entry)
            entry.move(State.NUMBERED)
            self._unacknowledged.append(entry)
            numbered.append(entry)
            numbered_bytes += entry.size
        return numbered

    def start_sending(self) -> list[Entry]:
        """All entries that are NUMBERED, in order, for one pipeline; they are SENT until `answered` is called."""
        assert not self._in_doubt
        entries = list(self._unacknowledged)
        for entry in entries:
            entry.move(State.SENT)
        return entries

    def answered(self, answers: Sequence[Answer], now_s: float) -> list[Entry]:
        """Process the answers to the entries of `start_sending`, in their order. Returns the acknowledged entries."""
        entries = list(self._unacknowledged)
        assert len(entries) == len(answers)
        self._unacknowledged.clear()
        self.ready = Answer.EQUAL_OR_SMALLER not in answers
        last_taken = max([at for at, answer in enumerate(answers) if answer is Answer.TAKEN], default=-1)
        taken: list[Entry] = []
        behind: list[Entry] = []  # refused, while a later one was taken
        for at, (entry, answer) in enumerate(zip(entries, answers, strict=True)):
            if answer is Answer.TAKEN:
                entry.move(State.ACKNOWLEDGED)
                entry.acknowledged_s = now_s
                taken.append(entry)
                continue
            entry.move(State.NUMBERED if self.ready else State.QUEUED)
            (behind if at < last_taken else self._unacknowledged).append(entry)
        self._acknowledged.extend(taken)
        if self.ready:
            for entry in behind:
                self._give_next_id(entry)
                self._unacknowledged.append(entry)
        else:
            self._take_back([*behind, *self._unacknowledged])
            self._unacknowledged.clear()
        self._count_sent(taken)
        return taken

    def connection_lost(self) -> None:
        """Mark acknowledged entries as DOUBTED: the server may have restarted without them."""
        for entry in self._acknowledged:
            if entry.state is State.ACKNOWLEDGED:
                entry.move(State.DOUBTED)

    def forget_safe(self, now_s: float) -> None:
        """Forget entries acknowledged more than REPLAY_S ago on a connection that has not been lost since."""
        while (
            self._acknowledged
            and self._acknowledged[0].state is State.ACKNOWLEDGED
            and now_s - self._acknowledged[0].acknowledged_s > REPLAY_S
        ):
            entry = self._acknowledged.popleft()
            entry.move(State.SAFE)
            self._files.discard(entry)

    def skip(self, count: int) -> None:
        """Leave out so many numbers, for entries that were given up before they were put."""
        with self._changed:
            self._gap += count

    # For threads that wait.

    def wait_for_work(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` until there is an entry to number or `close` is called."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._queue) or self.closed, timeout_s)

    def wait_until_closed(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` until `close` is called."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed, timeout_s)

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` until every entry has been acknowledged. Returns whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._unacknowledged_entries == 0, timeout_s)

    def close(self) -> None:
        """End all waits."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def release(self) -> None:
        """Release the spool for another process. No other method may be called after this.

        Files of acknowledged entries are removed: this process ends normally, and the server has the entries.
        """
        self._files.release(self._acknowledged)

    @property
    def _in_doubt(self) -> bool:
        """Whether an entry must be sent again."""
        sent, acknowledged = self._unacknowledged, self._acknowledged
        return bool(
            (sent and sent[0].state is State.SENT) or (acknowledged and acknowledged[-1].state is State.DOUBTED)
        )

    def _resume(self) -> None:
        may_be_sent, new = self._files.of_earlier_process()
        for entry in may_be_sent:
            self._unacknowledged.append(entry)
            self._count_queued(entry, 1)
            assert entry.entry_id is not None
            self._incarnation = max(self._incarnation, entry.entry_id[0])
        for entry in new:
            self._append(entry)

    def _append(self, entry: Entry) -> None:
        with self._changed:
            self.largest = max(self.largest, entry.size)
            self._count_queued(entry, 1)
            if removed := self._queue.append(entry):
                self._drop(removed, discard=False)
            self._changed.notify_all()
        for oldest in removed:
            self._files.discard(oldest)

    def _drop(self, entries: list[Entry], *, discard: bool = True) -> None:
        with self._changed:
            for entry in entries:
                entry.move(State.DROPPED)
                self._count_queued(entry, -1)
                self.lost += entry.games
                self._gap += 1 + entry.gap
            self._changed.notify_all()
        if discard:
            for entry in entries:
                self._files.discard(entry)

    def _count_sent(self, entries: list[Entry]) -> None:
        if not entries:
            return
        with self._changed:
            for entry in entries:
                self._count_queued(entry, -1)
                self.sent += entry.games
                self._told = max(self._told, self._told_before + entry.overflow)
            self._changed.notify_all()

    def _count_queued(self, entry: Entry, sign: int) -> None:
        self._unacknowledged_entries += sign
        self.queued += sign * entry.games
        self.queued_steps += sign * entry.steps
        self.queued_bytes += sign * entry.size
        self.spooled += sign * entry.games * (entry.file is not None)

    def _take_back(self, entries: list[Entry]) -> None:
        for entry in entries:
            entry.entry_id = None
            self._files.unnumber(entry)
        with self._changed:
            for entry in entries:
                self._gap += entry.gap
                entry.gap = 0
            self._queue.put_back(entries)

    def _give_next_id(self, entry: Entry) -> None:
        self._sequence += 1
        entry.entry_id = (self._incarnation, self._sequence)
        entry.overflow = self.overflow_of_incarnation
        if not self._files.number(entry):
            with self._changed:
                self.spooled -= entry.games
