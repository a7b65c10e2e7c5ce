from __future__ import annotations

import time

import pytest

from broodmind.common.process import clock
from broodmind.common.process.clock import Every, now_ms


@pytest.fixture
def at(monkeypatch):
    """Sets what the monotonic clock shows."""
    shown = [100.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: shown[0])
    return lambda seconds: shown.__setitem__(0, seconds)


def test_a_period_is_due_at_first_and_then_once_each_time_it_is_over(at):
    every, due = Every(2.0), {}
    for now in (100.0, 101.9, 102.0, 102.1, 103.9, 110.0, 110.5):
        at(now)
        due[now] = (every.over, every.due())
    assert due == {
        100.0: (True, True),
        101.9: (False, False),
        102.0: (True, True),
        102.1: (False, False),
        103.9: (False, False),
        110.0: (True, True),
        110.5: (False, False),
    }


def test_to_ask_whether_a_period_is_over_starts_no_new_one(at):
    every = Every(2.0)
    assert [every.over, every.over, every.due(), every.over] == [True, True, True, False]


def test_what_is_postponed_is_due_no_earlier_and_a_shorter_time_changes_nothing(at):
    every = Every(2.0)
    every.due()
    every.postpone(5.0)
    every.postpone(1.0)
    at(104.9)
    assert not every.over
    at(105.0)
    assert every.due()


def test_wall_time_is_in_milliseconds_since_1970(monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_123_999_999)
    assert now_ms() == 1_700_000_000_123
