"""Reading all streams: how much is asked for, and when."""

from __future__ import annotations

import pytest

from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import ReplyError
from broodmind.common.spec import RunSpec
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import IntakeConfig
from broodmind.learner.flow.flow import Flow
from broodmind.learner.ingest.stream_reader import ENTRIES_PER_READ, StreamReader

KEYS = Keys("run")
SPEC = RunSpec(TinyZerg.spec)
ASKING_S = 0.01


class Clock:
    """CPU time, which goes on only where a read is answered."""

    now_s = 0.0

    def thread_time(self):
        return self.now_s


class Reads:
    """Reads of one actor's stream, which has something each time it is asked."""

    under_way, entries, error = False, 1, None

    def __init__(self, clock):
        self._clock, self.asked, self.after = clock, 0, []

    def ask(self, after, _count):
        self.under_way = True
        self.asked += 1
        self.after += after.values()

    def take(self):
        self.under_way = False
        self._clock.now_s += ASKING_S
        if self.error is not None:
            raise self.error
        return [[KEYS.trajectories("a").encode(), [[b"1-1", [b"no", b"entry"]]] * self.entries]]


class OneActor:
    """A server with one actor on its roster, and what is pending of its stream."""

    pending = ()

    def call(self, command, *_):
        return [b"a"] if command == "HKEYS" else list(self.pending)

    def script(self, *_):
        return None


@pytest.fixture
def reads(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("broodmind.learner.ingest.stream_reader.time", clock)
    return Reads(clock)


def a_reader(reads, capacity_steps=100):
    flow = Flow(IntakeConfig())
    made = StreamReader(OneActor(), reads, KEYS, Lease(KEYS, 5000), SPEC, lambda _: None, capacity_steps, flow)
    made.follow_roster()
    return made


def test_where_little_came_it_says_how_long_asking_took(reads):
    reader = a_reader(reads)
    assert reader.read()
    assert reader.asking_s == pytest.approx(ASKING_S)
    assert reader.queue.take(0).rejected == "invalid"


def test_where_there_may_be_more_it_asks_again_at_once_and_needs_no_rest(reads):
    reader, reads.entries = a_reader(reads), ENTRIES_PER_READ
    assert reader.read()
    assert (reader.asking_s, reads.under_way) == (0, True)


def test_nothing_is_read_while_as_much_is_held_as_may_be(reads):
    """An entry that is no trajectory counts as one step."""
    reader, reads.entries = a_reader(reads, capacity_steps=ENTRIES_PER_READ), ENTRIES_PER_READ
    assert [reader.read(), reader.read(), reader.read()] == [True, False, False]
    assert (reads.asked, reader.queue.held_steps) == (2, ENTRIES_PER_READ)
    reader.queue.take(0)
    assert reader.read()
    assert (reads.asked, reader.queue.held_steps) == (3, 2 * ENTRIES_PER_READ - 1)


def test_pending_entries_are_read_before_new_ones(reads):
    reader, take = a_reader(reads), reads.take
    reader.read()
    reads.take = lambda: [[stream, []] for stream, _ in take()]
    reader.read()
    reads.take = take
    reader.read()
    assert reads.after == ["0-0", "1-1", ">"]


def test_an_actor_whose_stream_was_deleted_is_joined_again(reads):
    reader = a_reader(reads)
    reader.read()
    reads.error = ReplyError("NOGROUP No such key")
    assert not reader.read()
    reads.error = None
    assert reader.roster.actors == ("a",)
    assert reader.read()
    assert reads.after == ["0-0", "1-1", "0-0"]


def test_any_other_error_of_the_server_is_raised_and_nobody_is_forgotten(reads):
    reader = a_reader(reads)
    reads.error = ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        reader.read()
    assert reader.roster.actors == ("a",)
