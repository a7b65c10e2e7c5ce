import subprocess
import sys

import pytest

from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.common.server.keys import Keys
from broodmind.common.spec import RunSpec
from broodmind.learner.commit.lease import Lease
from broodmind.learner.ingest import stream_reader as module
from broodmind.learner.ingest.stream_reader import Ingest

KEYS = Keys("run")
SPEC = RunSpec(TinyZerg.spec)
ASKING_S = 0.01


class Clock:
    """In place of the module `time`: goes on only where a read is answered, and ends the loop at its first rest."""

    def __init__(self):
        self.now_s, self.rests_s, self.ingest = 0.0, [], None

    def thread_time(self):
        return self.now_s

    monotonic = thread_time

    def sleep(self, seconds):
        self.rests_s.append(seconds)
        self.ingest._closing = True


class Reads:
    """Reads of one actor's stream, which has something each time it is asked."""

    under_way, entries = False, 1

    def __init__(self, clock):
        self._clock, self.asked = clock, 0

    def ask(self, _after, _count):
        self.under_way = True
        self.asked += 1

    def take(self):
        self.under_way = False
        self._clock.now_s += ASKING_S
        return [[KEYS.trajectories("a").encode(), [[b"1-1", [b"no", b"entry"]]] * self.entries]]


class Asked:
    """A server with one actor."""

    pipelines = 0

    def call(self, *_):
        return [b"a"]

    def pipeline(self, commands):
        self.pipelines += 1
        return [0 if name == "XLEN" else [None, None] for name, *_ in commands]

    def script(self, *_):
        return None


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def ingest(clock):
    made = Ingest(Asked(), Reads(clock), KEYS, Lease(KEYS, 5000), SPEC, lambda _: None, 100)
    made._positions = {"a": ">"}
    clock.ingest = made
    return made


def test_after_a_read_that_brought_little_it_rests_as_long_as_asking_is_worth(ingest, clock):
    ingest._loop()
    assert clock.rests_s == [pytest.approx(4 * ASKING_S)]
    assert ingest.take(0).rejected == "invalid"


def test_actors_are_only_asked_whether_they_stand_still_when_nothing_comes(ingest):
    ingest._read()
    ingest._watch_for_a_standstill()
    ingest._watch_for_a_standstill()  # nothing came since the last look, but what came has not been taken
    assert ingest._server.pipelines == 0
    ingest.take(0)
    ingest._watch_for_a_standstill()
    assert ingest._server.pipelines == 2


def test_where_there_may_be_more_it_goes_on_without_a_rest(ingest, clock):
    ingest._reads.entries = SPEC.rollout.high_water
    ingest._loop()
    assert clock.rests_s == [0]
    assert ingest._reads.under_way


def test_the_next_read_is_asked_for_while_there_is_room(ingest):
    ingest._reads.entries = SPEC.rollout.high_water
    ingest._capacity_steps = 3  # an entry that is no trajectory counts as one
    assert [ingest._read() and ingest._reads.asked for _ in range(4)] == [2, 3, 3, 4]
    assert not ingest._reads.under_way


TAKING = """
import random, signal
from broodmind.learner.ingest.stream_reader import Ingest

signal.signal(signal.SIGALRM, lambda *_: None)
ingest = Ingest(None, None, None, None, None, None, 0)
for _ in range(400):
    signal.setitimer(signal.ITIMER_REAL, 0.003 + random.uniform(-0.00025, 0.00015))
    assert ingest.take(0.003) is None
"""


def test_a_signal_that_comes_when_the_time_is_up_does_not_make_taking_wait_for_ever():
    """SIGTERM would then be heard and never heeded. With a SimpleQueue it takes some ten attempts."""
    assert subprocess.run([sys.executable, "-c", TAKING], check=False, timeout=120).returncode == 0
