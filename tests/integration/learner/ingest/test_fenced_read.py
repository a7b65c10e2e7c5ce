"""Reads under the lease, held against takeovers between any two of their commands."""

from __future__ import annotations

import pytest
from support.runs import NEVER, SPEC, entry

from broodmind.common.errors import LeaseLost
from broodmind.common.server.keys import GROUP
from broodmind.common.server.streams import ReplyError
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import IntakeConfig
from broodmind.learner.flow.flow import Flow
from broodmind.learner.ingest.fenced_read import FencedReads, Wanted
from broodmind.learner.ingest.stream_reader import StreamReader


def test_a_learner_without_the_lease_reads_nothing(shared_server, redis, run, keys):
    """Else it would move entries into a pending list where its successor does not look any more."""
    redis.pipeline([("XADD", keys.trajectories("a"), "7-1", *entry("a")), ("HSET", keys.heartbeat("a"), "state", "x")])
    redis.call("XGROUP", "CREATE", keys.trajectories("a"), GROUP, "0")
    lease = Lease(keys, 60_000)
    lease.token = "1-deadbeef"
    redis.call("SET", keys.lease, "2-cafecafe")
    reads = FencedReads(shared_server.connect(), keys, lease)
    reader = StreamReader(shared_server.connect(), reads, keys, lease, SPEC, lambda _: None, 100, Flow(IntakeConfig()))
    with pytest.raises(LeaseLost, match="FENCED"):
        reader.follow_roster()  # it admits nobody either
    with pytest.raises(LeaseLost, match="FENCED"):
        take(reads, keys)
    reader.close()
    assert redis.call("XPENDING", keys.trajectories("a"), GROUP)[0] == 0
    assert not redis.call("EXISTS", keys.roster)


@pytest.fixture
def holder(redis, keys):
    """A lease, and the means to read under it."""
    lease = Lease(keys, 60_000)
    lease.acquire(redis, NEVER, 0)
    redis.call("XGROUP", "CREATE", keys.trajectories("a"), GROUP, "0", "MKSTREAM")
    return lease


def take(reads, keys):
    reads.ask([Wanted(keys.trajectories("a"), ">", 10)], {})
    read, _ = reads.take()
    return [entry_id for _, entries in read for entry_id, _ in entries]


@pytest.mark.parametrize("seen", [True, False], ids=["between two reads", "before the first"])
def test_after_a_takeover_the_next_read_fails(shared_server, redis, keys, holder, seen):
    """It was seen to be ours with the read before: only the fence can tell that it is not any more."""
    reads = FencedReads(shared_server.connect(), keys, holder)
    if seen:
        assert take(reads, keys) == []
    redis.call("DEL", keys.lease)  # it ran out while we slept
    Lease(keys, 60_000).acquire(redis, NEVER, 0)
    redis.call("XADD", keys.trajectories("a"), "7-1", *entry("a"))
    with pytest.raises(LeaseLost, match="FENCED"):
        take(reads, keys)
    reads.close()
    assert redis.call("XPENDING", keys.trajectories("a"), GROUP)[0] == 0
    assert redis.call("XINFO", "GROUPS", keys.trajectories("a"))[0][-1] == 1  # lag


def test_after_the_lease_has_expired_the_next_read_fails(shared_server, redis, keys, holder):
    """Nobody has taken it yet, but we have no right to it."""
    reads = FencedReads(shared_server.connect(), keys, holder)
    assert take(reads, keys) == []
    redis.call("DEL", keys.lease)
    with pytest.raises(LeaseLost, match="FENCED"):
        take(reads, keys)
    reads.close()


def test_the_learners_own_writes_do_not_disturb_a_read(shared_server, redis, keys, holder):
    reads = FencedReads(shared_server.connect(), keys, holder)
    assert take(reads, keys) == []
    redis.pipeline([("XADD", keys.trajectories("a"), "7-1", *entry("a")), ("PEXPIRE", keys.lease, 5000)])
    assert take(reads, keys) == [b"7-1"]
    reads.close()


def test_reading_a_deleted_stream_fails_until_it_is_created_again(shared_server, redis, keys, holder):
    reads = FencedReads(shared_server.connect(), keys, holder)
    redis.call("DEL", keys.trajectories("a"))
    with pytest.raises(ReplyError, match="NOGROUP"):
        take(reads, keys)
    redis.call("XGROUP", "CREATE", keys.trajectories("a"), GROUP, "0", "MKSTREAM")
    assert take(reads, keys) == []
    reads.close()


def test_a_fence_changed_while_we_hold_the_lease_makes_one_read_return_nothing(shared_server, redis, keys, holder):
    reads = FencedReads(shared_server.connect(), keys, holder)
    assert take(reads, keys) == []
    redis.pipeline([("INCR", keys.fence), ("XADD", keys.trajectories("a"), "7-1", *entry("a"))])
    assert [take(reads, keys), take(reads, keys)] == [[], [b"7-1"]]
    reads.close()


def test_entries_are_read_from_a_server_at_its_memory_limit(shared_server, redis, keys, holder):
    """Redis 7.0 queues no transaction then, and only reading makes room."""
    reads = FencedReads(shared_server.connect(), keys, holder)
    redis.call("XADD", keys.trajectories("a"), "7-1", *entry("a"))
    redis.call("CONFIG", "SET", "maxmemory", "1")
    try:
        assert [take(reads, keys), take(reads, keys)] == [[b"7-1"], []]
        redis.call("DEL", keys.lease)
        with pytest.raises(LeaseLost, match="FENCED"):
            take(reads, keys)
    finally:
        redis.call("CONFIG", "SET", "maxmemory", "0")
    reads.close()
