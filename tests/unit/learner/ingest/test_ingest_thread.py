"""The order of what the reading thread does, how long it rests, and what becomes of its errors."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from broodmind.common.errors import BroodmindError, LeaseLost
from broodmind.common.process import clock
from broodmind.learner.ingest.handover_queue import HandoverQueue
from broodmind.learner.ingest.ingest_thread import IngestThread, PollPause


class Reader:
    """Notes what it is told to do."""

    asking_s = 0.0

    def __init__(self, reads=()):
        self.done, self.queue = [], HandoverQueue()
        self.reads = SimpleNamespace(under_way=False)
        self._reads = iter(reads)

    def read(self):
        self.done.append("read")
        result = next(self._reads, True)
        if isinstance(result, Exception):
            raise result
        return result

    def __getattr__(self, name):
        return lambda: self.done.append(name)


def test_the_first_turn_does_everything_that_is_due_and_then_reads():
    reader = Reader()
    IngestThread(reader, 60).turn()
    first = ["follow_roster", "watch_for_standstill", "publish_demand", "strike_off_silent", "read"]
    assert reader.done == first


def test_a_demand_that_takes_long_to_work_out_is_revised_less_often(monkeypatch):
    """Each takes 5 ms of the processor here, of which a fiftieth of the time may be used: four in a second."""
    now_s, busy_s = [100.0], [0.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s[0])
    monkeypatch.setattr(time, "thread_time", lambda: busy_s[0])

    class BusyReader(Reader):
        def publish_demand(self):
            self.done.append("publish_demand")
            busy_s[0] += 0.005

    reader = BusyReader()
    thread = IngestThread(reader, 60)
    for _ in range(1000):
        thread.turn()
        now_s[0] += 0.001
    assert reader.done.count("publish_demand") == 4


def test_no_actor_is_struck_off_while_a_read_is_under_way():
    reader = Reader()
    reader.reads.under_way = True
    thread = IngestThread(reader, 60)
    thread.turn()
    assert "strike_off_silent" not in reader.done
    reader.reads.under_way = False
    thread.turn()
    assert reader.done.count("strike_off_silent") == 1


@pytest.mark.parametrize(
    ("error", "expected"), [(LeaseLost("FENCED"), LeaseLost), (ZeroDivisionError("a bug"), BroodmindError)]
)
def test_an_error_that_ends_the_thread_is_raised_by_take(error, expected):
    reader = Reader([True, error])
    thread = IngestThread(reader, 60)
    thread.start()
    with pytest.raises(expected, match=r"FENCED|a bug"):
        thread.take(60)
    thread.close()
    assert reader.done[-2:] == ["read", "close"]


def test_the_pause_grows_to_a_maximum_while_nothing_arrives():
    pause = PollPause()
    rests = [pause.after(came=False, busy_s=0, asking_s=0) for _ in range(8)]
    assert rests == [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.02, 0.02]
    assert pause.after(came=True, busy_s=0, asking_s=0) == 0
    assert pause.after(came=False, busy_s=0, asking_s=0) == 0.0005


def test_the_pause_after_a_small_read_follows_from_the_time_spent_asking():
    assert PollPause().after(came=True, busy_s=0.01, asking_s=0.01) == pytest.approx(0.04)
    assert PollPause().after(came=True, busy_s=0.03, asking_s=0.01) == pytest.approx(0.02)  # decoding is a rest too
    assert PollPause().after(came=True, busy_s=0.1, asking_s=0.01) == 0
