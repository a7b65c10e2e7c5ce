"""What `broodmind status` reads of a run, held against what an actor can write into its own keys."""

from __future__ import annotations

import re

import pytest

from broodmind.deploy.observe.run_view import HEARTBEAT_BYTES_MAX, HEARTBEAT_FIELDS_MAX, look

LARGE = b"x" * (16 << 20)
TOO_MANY = [part for number in range(HEARTBEAT_FIELDS_MAX + 1) for part in (f"f{number}", "x")]


def sent_by(redis):
    """The bytes that the server has sent to all its clients."""
    return int(re.search(rb"total_net_output_bytes:(\d+)", redis.call("INFO", "stats"))[1])


@pytest.mark.parametrize(
    "field",
    [("state", LARGE), (LARGE, "x"), ("another", LARGE), TOO_MANY],
    ids=["state", "a name", "another field", "too many"],
)
def test_a_large_heartbeat_is_not_fetched(redis, keys, field):
    redis.call("HSET", keys.roster, "evil", 1, "good", 1)
    redis.call("HSET", keys.heartbeat("good"), "state", "playing", "version", 7)
    redis.call("HSET", keys.heartbeat("evil"), "state", "playing", *field)
    before = sent_by(redis)
    evil, good = look(redis, keys).actors
    assert sent_by(redis) - before < 100_000
    assert good.heartbeat == {"state": "playing", "version": "7"}
    assert evil.heartbeat["state"].startswith("not shown: a heartbeat of ")


def test_a_heartbeat_just_inside_the_limit_is_shown(redis, keys):
    redis.call("HSET", keys.roster, "good", 1)
    redis.call("HSET", keys.heartbeat("good"), "state", "x" * (HEARTBEAT_BYTES_MAX - 4000))
    (good,) = look(redis, keys).actors
    assert len(good.heartbeat["state"]) == HEARTBEAT_BYTES_MAX - 4000
    redis.call("HSET", keys.heartbeat("good"), "state", "x" * HEARTBEAT_BYTES_MAX)
    (good,) = look(redis, keys).actors
    assert good.heartbeat["state"].startswith("not shown")


@pytest.mark.parametrize("write", [("SET", "x"), ("RPUSH", "x")], ids=lambda write: write[0])
def test_a_key_of_another_type_does_not_end_the_view(redis, keys, write):
    redis.call("HSET", keys.roster, "evil", 1)
    for key in (keys.heartbeat("evil"), keys.trajectories("evil")):
        redis.call(write[0], key, write[1])
    (evil,) = look(redis, keys).actors
    assert (evil.backlog, evil.heartbeat) == (0, {"state": "no heartbeat under its key"})
