"""When no actor is left that may send more, by real streams and heartbeats."""

from __future__ import annotations

import re

import pytest

from broodmind.learner.flow.standstill import StandstillWatch


def is_blocked(redis, keys, actors, *, lock_step):
    """Whether nobody is left. Of each actor: the entries in its stream; `lock_step` in its heartbeat, if it lives."""
    for name, (backlog, beat) in actors.items():
        for _ in range(backlog):
            redis.call("XADD", keys.trajectories(name), "*", "v", 1)
        if beat is not None:
            redis.call("HSET", keys.heartbeat(name), "state", "playing", "lock_step", beat)
    watch = StandstillWatch(redis, keys, lock_step=lock_step)
    watch.look(list(actors), all_taken=True)
    return watch.blocked_s > 0


@pytest.mark.parametrize(
    ("actors", "blocked"),
    [
        ({"a": (1, "1")}, True),
        ({"a": (0, "1")}, False),
        ({"a": (1, "1"), "b": (0, "1")}, False),
        ({"a": (1, "1"), "b": (2, "1")}, True),
        ({"a": (1, "1"), "silent": (0, None)}, True),
        ({"a": (1, "1"), "client": (0, "0")}, True),  # connected, and perhaps idle
        ({"client": (1, "0")}, True),
        ({"silent": (1, None)}, True),  # nobody is left to add to it
        ({"silent": (0, None)}, False),  # nobody is left, and nothing
        ({"a": (1, "1"), "junk": (0, "11")}, True),
    ],
)
def test_all_actors_in_lock_step_must_have_delivered(redis, keys, actors, blocked):
    assert is_blocked(redis, keys, actors, lock_step=True) == blocked


@pytest.mark.parametrize(
    ("actors", "blocked"),
    [
        ({"a": (1, "0")}, False),
        ({"a": (1, None), "client": (0, "0")}, False),
        ({"a": (1, None)}, True),
        ({"a": (1, None), "b": (0, None)}, True),
        ({"a": (0, None)}, False),
    ],
)
def test_without_lock_step_all_must_have_left(redis, keys, actors, blocked):
    assert is_blocked(redis, keys, actors, lock_step=False) == blocked


def test_a_look_fetches_nothing_of_what_actors_write_into_their_heartbeats(redis, keys):
    large = b"1" * (16 << 20)
    redis.call("HSET", keys.heartbeat("evil"), "state", large, "lock_step", large, large, "1")
    redis.call("XADD", keys.trajectories("good"), "*", "v", 1)
    before = int(re.search(rb"total_net_output_bytes:(\d+)", redis.call("INFO", "stats"))[1])
    watch = StandstillWatch(redis, keys, lock_step=True)
    watch.look(["evil", "good"], all_taken=True)
    assert watch.blocked_s > 0
    assert int(re.search(rb"total_net_output_bytes:(\d+)", redis.call("INFO", "stats"))[1]) - before < 100_000


def test_a_key_of_another_type_does_not_end_the_look(redis, keys):
    redis.call("SET", keys.heartbeat("evil"), "x")
    redis.call("XADD", keys.trajectories("good"), "*", "v", 1)
    watch = StandstillWatch(redis, keys, lock_step=True)
    watch.look(["evil", "good"], all_taken=True)
    assert watch.blocked_s > 0
