"""Who counts as there, by real heartbeats."""

from __future__ import annotations

import pytest

from broodmind.common.errors import LeaseLost
from broodmind.common.process.shutdown import Stop
from broodmind.learner.roster.arrival import wait_for_actors


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("broodmind.learner.roster.arrival.time.sleep", lambda _: None)


def waits(redis, keys, count, looks, *, stop=None, check=lambda: None):
    """Whether they came; `looks`: who is on the roster at each look."""
    rosters = iter(looks)
    return wait_for_actors(count, lambda: next(rosters), redis, keys, stop or Stop(), check)


def test_those_that_ended_are_not_counted(redis, keys):
    redis.call("HSET", keys.heartbeat("a"), "state", "waiting")
    redis.call("HSET", keys.heartbeat("b"), "state", "waiting")
    looks = iter([["a"], ["a", "ended"], ["a", "ended", "b"], ["never looked at"]])
    assert wait_for_actors(2, lambda: next(looks), redis, keys, Stop(), lambda: None)
    assert list(looks) == [["never looked at"]]


def test_with_none_nobody_is_looked_for(redis, keys):
    assert waits(redis, keys, 0, [])


def test_a_stop_ends_the_wait(redis, keys):
    stop = Stop()
    stop.request()
    assert not waits(redis, keys, 1, [[]], stop=stop)


def test_a_lost_lease_ends_the_wait(redis, keys):
    def check():
        raise LeaseLost("gone")

    with pytest.raises(LeaseLost):
        waits(redis, keys, 1, [], check=check)
