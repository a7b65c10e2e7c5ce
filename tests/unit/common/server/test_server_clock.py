"""The server's time as a process with another clock finds it out."""

from __future__ import annotations

import pytest
from support.fake_clock import FakeClock

from broodmind.common.errors import RedisDenied, RedisUnreachable
from broodmind.common.process.clock import now_ms
from broodmind.common.server.server_clock import ServerClock

DAY_MS = 86_400_000
NOW = 1_700_000_000_000


def test_unmeasured_it_is_this_machines_clock():
    clock = ServerClock(lambda: NOW)
    assert (clock.now_ms(), clock.skew_ms, clock.offset_ms) == (NOW, 0, 0)
    before = now_ms()
    assert before <= ServerClock().now_ms() <= now_ms()


@pytest.mark.parametrize("behind_ms", [0, 22, -22, DAY_MS, -DAY_MS, -365 * DAY_MS])
def test_it_is_the_servers_time_whatever_this_machines_clock_says(behind_ms):
    times = {"now": NOW}
    clock = ServerClock(lambda: times["now"] - behind_ms)

    def call(command):
        assert command == "TIME"
        times["now"] += 20  # there
        told = [b"%d" % (times["now"] // 1000), b"%d" % (times["now"] % 1000 * 1000 + 999)]
        times["now"] += 20  # and back
        return told

    clock.measure(call)
    assert clock.now_ms() == times["now"]
    assert clock.skew_ms == -behind_ms


@pytest.mark.parametrize("offset_ms", [-51, -1, 1, 51])
def test_clocks_that_may_well_agree_are_taken_to_agree(offset_ms):
    clock = ServerClock()
    clock.observe(NOW, NOW + 50 + offset_ms, NOW + 100)
    assert clock.offset_ms == 0


def test_of_the_last_measurements_the_shortest_round_trip_counts():
    clock = ServerClock()
    for there_ms, back_ms in ((100, 0), (1, 1), (0, 200), (300, 0)):
        clock.observe(NOW, NOW + 5000 + there_ms, NOW + there_ms + back_ms)
    assert clock.offset_ms == 5000
    for _ in range(8):  # so many later ones, and it is forgotten
        clock.observe(NOW, NOW + 5000 + 100, NOW + 100)
    assert clock.offset_ms == 5050


def test_a_clock_that_was_set_meanwhile_is_believed_at_once():
    clock = ServerClock()
    for _ in range(5):
        clock.observe(NOW, NOW + 5001, NOW + 2)
    clock.observe(NOW, NOW + DAY_MS + 30, NOW + 60)
    assert clock.offset_ms == DAY_MS
    clock.observe(NOW, NOW + 10, NOW + 20)
    assert clock.offset_ms == 0


def test_it_is_said_once_that_the_clocks_differ(caplog):
    clock = ServerClock()
    for offset_ms in (4999, 5002, 9000, 9000, 0, -6000):
        clock.observe(NOW, NOW + offset_ms, NOW)
    lines = [record.message for record in caplog.records]
    assert len(lines) == 2
    assert "ahead_s=-5.002" in lines[0]
    assert "ahead_s=6.0" in lines[1]


def test_who_may_not_ask_goes_by_their_own_clock_and_asks_no_more():
    asked, clock = [], ServerClock(lambda: NOW)

    def denied(command):
        asked.append(command)
        raise RedisDenied("NOPERM")

    clock.measure(denied)
    clock.measure(denied)
    assert (asked, clock.now_ms()) == (["TIME"], NOW)


def test_a_lost_connection_is_the_callers():
    def broken(command):
        raise RedisUnreachable("gone")

    with pytest.raises(RedisUnreachable):
        ServerClock().measure(broken)


def test_it_is_measured_now_and_then_and_at_once_where_a_clock_may_be_another(monkeypatch):
    monotonic, set_ms = FakeClock(), 0
    monkeypatch.setattr("broodmind.common.server.server_clock.monotonic_s", monotonic)
    clock, asked = ServerClock(lambda: NOW + round(1000 * monotonic.now_s) + set_ms), []

    def call(_):
        asked.append(monotonic.now_s)
        return [b"%d" % (NOW // 1000), b"0"]

    def until(seconds):
        while monotonic.now_s < seconds:
            clock.keep(call)
            monotonic.now_s += 0.5

    until(100)
    assert asked == [0, 5, 10, 15, 45, 75]
    set_ms = 3_600_000  # this machine's clock
    until(101)
    clock.doubt()  # another server
    until(110)
    assert asked[6:] == [100, 101, 106]
