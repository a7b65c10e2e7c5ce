"""A trajectory that ends the learner's process: it is found, set aside, and the run goes on; nobody else's is lost."""

from __future__ import annotations

import pytest
from support import doomed
from support.runs import entry, hash_of
from support.servers import PATIENCE_S, wait_until

from broodmind.common.server.keys import CONSUMER, GROUP, SOLO_CONSUMER
from broodmind.learner.ingest.quarantine import DELIVERIES


def push(redis, keys, actor, entries, *, first=1):
    redis.call("HSET", keys.heartbeat(actor), "state", "playing")
    for sequence, fields in enumerate(entries, first):
        redis.call("XADD", keys.trajectories(actor), f"7-{sequence}", *fields)


@pytest.fixture
def started(shared_server, redis, run, keys):
    """A run with its first version, and no learner."""
    with doomed.learner(shared_server.url, run, "nowhere"):
        wait_until(lambda: hash_of(redis, keys.head).get("version") == "1")
    redis.call("DEL", keys.lease)


@pytest.mark.parametrize("where", ["decode", "train"])
def test_an_entry_that_kills_learners_is_rejected_and_the_run_continues(
    shared_server, redis, run, keys, started, where
):
    push(redis, keys, "good", [entry("good", seed=seed) for seed in range(3)])
    push(redis, keys, "bad", [entry("bad"), doomed.deadly("bad"), entry("bad")])
    for _ in range(DELIVERIES + 1):
        with doomed.learner(shared_server.url, run, where) as process:
            process.join(PATIENCE_S)
        assert process.exitcode == doomed.EXIT_CODE
        redis.call("DEL", keys.lease)  # it runs out
    with doomed.learner(shared_server.url, run, where) as process:
        wait_until(lambda: process.exitcode is not None or hash_of(redis, keys.head).get("poison") == "1")
        assert process.exitcode is None
        wait_until(lambda: hash_of(redis, keys.head)["accepted"] == "5")
        push(redis, keys, "good", [entry("good", seed=seed) for seed in range(6)], first=4)
        head = wait_until(lambda: (head := hash_of(redis, keys.head))["accepted"] == "11" and head)
        assert {name: head[name] for name in ("invalid", "duplicate", "lost", "poison")} == {
            **dict.fromkeys(("invalid", "duplicate", "lost"), "0"),
            "poison": "1",
        }
        ((_, fields),) = redis.call("XRANGE", keys.rejected, "-", "+")
        rejected = dict(zip(fields[::2], fields[1::2], strict=True))
        assert (rejected[b"actor"], rejected[b"id"], rejected[b"reason"]) == (b"bad", b"7-2", b"poison")
        assert rejected[b"payload"]


def test_no_valid_trajectory_is_lost_when_learners_are_killed_repeatedly(shared_server, redis, run, keys, started):
    """By its operator, say, with entries in hand that had nothing to do with it: these are only tried one by one."""
    push(redis, keys, "a", [entry("a", seed=seed) for seed in range(3)])
    for killed in range(1, DELIVERIES + 1):
        with doomed.learner(shared_server.url, run, "never takes"):
            wait_until(lambda n=killed: [times for *_, times in pending(redis, keys, "a")] == [n] * 3)
        redis.call("DEL", keys.lease)
    with doomed.learner(shared_server.url, run, "nowhere"):
        wait_until(lambda: hash_of(redis, keys.head)["accepted"] == "3")
    head = hash_of(redis, keys.head)
    assert (head["poison"], head["updates"]) == ("0", "3")


def test_a_learner_that_ends_normally_leaves_no_poison_candidates(shared_server, redis, run, keys, started):
    push(redis, keys, "a", [entry("a")])
    redis.call("XGROUP", "CREATE", keys.trajectories("a"), GROUP, "0")
    redis.call("XREADGROUP", "GROUP", GROUP, CONSUMER, "STREAMS", keys.trajectories("a"), ">")
    redis.call("XCLAIM", keys.trajectories("a"), GROUP, CONSUMER, 0, "7-1", "RETRYCOUNT", DELIVERIES)
    with doomed.learner(shared_server.url, run, "never takes") as process:
        wait_until(lambda: pending(redis, keys, "a")[0][1] == SOLO_CONSUMER.encode())
        process.terminate()
        process.join(PATIENCE_S)
    assert process.exitcode == 0
    assert pending(redis, keys, "a")[0][1] == CONSUMER.encode()


def pending(redis, keys, actor):
    (answer,) = redis.replies([("XPENDING", keys.trajectories(actor), GROUP, "-", "+", 10)])
    return answer if isinstance(answer, list) else []
