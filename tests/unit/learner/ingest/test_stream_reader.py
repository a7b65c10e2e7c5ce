"""Reading all streams: what is asked for, and when."""

from __future__ import annotations

import pytest

from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import ReplyError
from broodmind.common.spec import RunSpec
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import IntakeConfig
from broodmind.learner.flow.flow import Flow
from broodmind.learner.ingest.fenced_read import Unread
from broodmind.learner.ingest.stream_reader import ENTRIES_PER_READ, StreamReader

KEYS = Keys("run")
SPEC = RunSpec(TinyZerg.spec)
STREAM = KEYS.trajectories("a")
ASKING_S = 0.01


class Clock:
    """CPU time, which goes on only where a read is answered."""

    now_s = 0.0

    def thread_time(self):
        return self.now_s


class Reads:
    """Reads of one actor's stream, which has so many entries, or an error."""

    under_way, error, looked_at = False, None, 1

    def __init__(self, clock):
        self.clock, self.wanted, self.looks = clock, [], 0
        self.entries, self.read, self.stream_bytes = 1, 0, 1000

    @property
    def unread(self):
        return [Unread(STREAM, self.entries, self.stream_bytes)] if self.entries else []

    def look(self, streams):
        assert list(streams) == [STREAM]
        self.looks += 1
        return self.unread

    def ask(self, wanted, look_at):
        assert list(look_at) == [STREAM]
        self.under_way = True
        self.wanted += wanted

    def take(self):
        self.under_way = False
        self.clock.now_s += ASKING_S
        if self.error is not None:
            raise self.error
        found = [[b"1-%d" % (self.read + number), [b"no", b"entry"]] for number in range(1, self.wanted[-1].count + 1)]
        self.read += len(found)
        self.entries -= len(found)
        return [[STREAM.encode(), found]], self.unread


class OneActor:
    """A server on which one actor lives, and what is pending of its stream."""

    def __init__(self, *, known=True):
        self.answer = b"known" if known else b"new"

    def call(self, command, *_):
        return [b"0", [KEYS.heartbeat("a").encode()] if command == "SCAN" else []]

    def pipeline(self, commands):
        return [[] for _ in commands]

    def script(self, *_):
        return [self.answer]


@pytest.fixture
def reads(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("broodmind.learner.ingest.stream_reader.time", clock)
    return Reads(clock)


def a_reader(reads, capacity_steps=100, server=None):
    server = server or OneActor(known=False)
    flow = Flow(IntakeConfig())
    made = StreamReader(server, reads, KEYS, Lease(KEYS, 5000), SPEC, lambda _: None, capacity_steps, flow)
    made.follow_roster()
    return made


def after(reads):
    return [each.after for each in reads.wanted]


def test_after_a_small_reply_asking_s_is_the_time_spent_asking(reads):
    reader = a_reader(reads)
    assert reader.read()
    assert reader.asking_s == pytest.approx(ASKING_S)
    assert reader.queue.take(0).rejected == "invalid"


def test_a_large_entry_is_followed_by_no_rest_for_the_time_that_it_took(reads):
    class Large(OneActor):
        def script(self, script, *_):
            if "XREADGROUP" not in script.source:
                return [self.answer]
            reads.clock.now_s += 1.0
            reads.entries = 0
            return [[b"1-1", [b"no", b"entry"], 0]]

    reader, reads.stream_bytes = a_reader(reads, server=Large(known=False)), 1 << 30
    assert not reader.read()  # only looks
    assert reader.read()
    assert reader.queue.take(0).rejected == "invalid"
    assert reader.asking_s < ASKING_S


def test_of_a_stream_that_has_nothing_nothing_is_read(reads):
    reader, reads.entries = a_reader(reads), 0
    assert not reader.read()
    assert (reads.looks, reads.wanted, reads.under_way) == (1, [], False)


def test_where_there_is_more_it_asks_again_at_once_and_needs_no_rest(reads):
    reader, reads.entries = a_reader(reads), ENTRIES_PER_READ + 3
    assert reader.read()
    assert (reader.asking_s, reads.under_way) == (0, True)
    assert reader.read()
    assert (reads.looks, reads.under_way) == (1, False)
    assert [each.count for each in reads.wanted] == [ENTRIES_PER_READ, 3]  # no more than there are


def test_where_many_streams_had_little_it_rests_and_then_reads_what_the_last_look_found(reads):
    reader, reads.entries, reads.looked_at = a_reader(reads), ENTRIES_PER_READ + 3, 1000
    assert reader.read()
    assert (reader.asking_s, reads.under_way) == (pytest.approx(ASKING_S), False)
    assert reader.read()
    assert (reads.looks, reads.read) == (1, ENTRIES_PER_READ + 3)


def test_nothing_is_read_while_the_queue_is_full(reads):
    """An entry that is no trajectory counts as one step."""
    reader, reads.entries = a_reader(reads, capacity_steps=ENTRIES_PER_READ), 3 * ENTRIES_PER_READ
    assert [reader.read(), reader.read()] == [True, False]
    assert (len(reads.wanted), reader.queue.held_steps) == (2, ENTRIES_PER_READ)
    reader.queue.take(0)
    assert reader.read()
    assert (len(reads.wanted), reader.queue.held_steps) == (3, 2 * ENTRIES_PER_READ - 1)


def test_pending_entries_are_read_before_new_ones(reads):
    reader, take = a_reader(reads, server=OneActor()), reads.take
    reader.read()
    reads.entries = 1
    reads.take = lambda: ([[stream, []] for stream, _ in take()[0]], [])
    reader.read()
    reads.take, reads.entries = take, 1
    reader.read()
    assert after(reads) == ["0-0", "1-1", ">"]


@pytest.mark.parametrize("seen", ["by the look", "by the read"])
def test_an_actor_whose_stream_was_deleted_is_joined_again(reads, seen):
    server = OneActor()
    reader = a_reader(reads, server=server)
    reader.read()
    if seen == "by the look":
        reads.entries = -1
    else:
        reads.entries, reads.error = 1, ReplyError("NOGROUP No such key")
    assert not reader.read()
    reads.entries, reads.error = 1, None
    assert reader.roster.actors == {"a"}
    assert reader.read()
    assert after(reads)[0] == after(reads)[-1] == "0-0"


def test_any_other_error_of_the_server_is_raised_and_nobody_is_forgotten(reads):
    reader = a_reader(reads)
    reads.error = ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        reader.read()
    assert reader.roster.actors == {"a"}
