"""What one actor puts into its stream costs the learner no more memory at a time than a read may bring."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from support.learners import CONFIG, head_of, learning
from support.runs import NEVER, SPEC, entry
from support.servers import RealServer, wait_until

from broodmind.common.server.keys import GROUP
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import IntakeConfig, LeaseConfig
from broodmind.learner.flow.flow import Flow
from broodmind.learner.ingest.entry_decoder import ENTRY_BYTES_MAX
from broodmind.learner.ingest.fenced_read import FencedReads
from broodmind.learner.ingest.memory_watch import MemoryWatch
from broodmind.learner.ingest.stream_reader import BYTES_PER_READ, StreamReader
from broodmind.learner.ingest.useless_entries import BYTES_PER_S, SHARE


@pytest.fixture(params=["redis", "valkey"])
def server(request):
    """A server of the test's own, as it holds large entries."""
    server = RealServer(request.param)
    yield server
    server.close()


def push(redis, keys, actor, *entries, first=1):
    redis.call("HSET", keys.heartbeat(actor), "state", "playing")
    for number, fields in enumerate(entries, first):
        redis.call("XADD", keys.trajectories(actor), f"7-{number}", *fields)


def taken(reader, entries=None):
    """What the reader has handed over since the last time, after what is given."""
    entries = [] if entries is None else entries
    while (each := reader.queue.take(0)) is not None:
        entries.append(each)
    return entries


def count(entries, actor):
    return sum(each.actor == actor for each in entries)


@pytest.mark.parametrize("after_death", [False, True], ids=["new", "pending"])
def test_an_entry_above_the_limit_is_rejected_without_being_fetched(server, keys, after_death):
    redis, lease = server.connect(), Lease(keys, 60_000)
    lease.acquire(redis, NEVER, 0)
    wide = [part for number in range(8) for part in (f"f{number}", b"\0" * (ENTRY_BYTES_MAX // 8))]
    push(redis, keys, "evil", wide)
    if after_death:  # it killed three learners, for all that is known
        redis.call("XGROUP", "CREATE", keys.trajectories("evil"), GROUP, "0")
        redis.call("XREADGROUP", "GROUP", GROUP, "mind", "STREAMS", keys.trajectories("evil"), ">")
        redis.call("XCLAIM", keys.trajectories("evil"), GROUP, "mind", 0, "7-1", "RETRYCOUNT", 9)
    reads = FencedReads(server.connect(), keys, lease)
    reader = StreamReader(server.connect(), reads, keys, lease, SPEC, lambda _: None, 10**9, Flow(IntakeConfig()))
    entries = []
    for _ in range(20):
        reader.follow_roster()
        reader.read()
        entries += taken(reader)
    assert [(each.rejected, each.header) for each in entries] == [("invalid", None)]
    assert f"expected at most {ENTRY_BYTES_MAX}" in entries[0].problem
    reader.close()
    redis.close()


def test_a_read_brings_no_more_than_its_bytes_and_one_entry(server, keys):
    redis, lease = server.connect(), Lease(keys, 60_000)
    lease.acquire(redis, NEVER, 0)
    size = BYTES_PER_READ // 2 + 1
    for actor in ("evil-000", "evil-001"):
        push(redis, keys, actor, *[["x", b"\0" * size]] * 4)
    push(redis, keys, "good", entry("good"))
    reader = StreamReader(
        *(server.connect(), FencedReads(server.connect(), keys, lease), keys, lease, SPEC, lambda _: None, 10**9),
        Flow(IntakeConfig()),
    )
    reader.follow_roster()
    counts, seen = [], []

    def look():
        reader.follow_roster()
        reader.read()
        entries = taken(reader)
        counts.append(sum(each.actor != "good" for each in entries))
        seen.extend(entries)
        return len(seen) == 9

    wait_until(look)
    assert max(counts) <= 2
    assert [each.rejected for each in seen if each.actor == "good"] == [None]
    reader.close()
    redis.close()


def test_large_entries_of_no_use_get_their_share_of_the_time_and_all_of_it_where_nothing_else_comes(server, keys):
    redis, lease, size = server.connect(), Lease(keys, 60_000), BYTES_PER_READ + 1
    lease.acquire(redis, NEVER, 0)
    evil = [f"evil-{number:03}" for number in range(6)]
    for actor in evil:
        push(redis, keys, actor, ["x", b"\0" * size])
    push(redis, keys, "good", entry("good"))
    reader = StreamReader(
        *(server.connect(), FencedReads(server.connect(), keys, lease), keys, lease, SPEC, lambda _: None, 10**9),
        Flow(IntakeConfig()),
    )
    reader.follow_roster()
    seen, began_s = [], time.monotonic()
    for number in range(2, 42):
        push(redis, keys, "good", entry("good"), first=number)
        wait_until(lambda: (reader.read(), taken(reader, seen)) and count(seen, "good") >= number)  # noqa: B023
    assert reader.reads.looked_at == 1  # those that wait for their share of the time cost nothing meanwhile
    large = len(seen) - count(seen, "good")
    assert large <= 2 + (time.monotonic() - began_s) * SHARE * BYTES_PER_S / size
    wait_until(lambda: (reader.read(), taken(reader, seen)) and len(seen) == 41 + len(evil))
    assert sum(each.rejected is None for each in seen) == 41
    reader.close()
    redis.close()


def test_on_an_almost_full_server_large_entries_of_no_use_do_not_wait(server, keys, monkeypatch):
    monkeypatch.setattr(MemoryWatch, "almost_full", True)
    redis, lease = server.connect(), Lease(keys, 60_000)
    lease.acquire(redis, NEVER, 0)
    evil = [f"evil-{number:03}" for number in range(6)]
    for actor in evil:
        push(redis, keys, actor, ["x", b"\0" * (BYTES_PER_READ + 1)])
    reader = StreamReader(
        *(server.connect(), FencedReads(server.connect(), keys, lease), keys, lease, SPEC, lambda _: None, 10**9),
        Flow(IntakeConfig()),
    )
    reader.follow_roster()
    seen = []
    for number in range(1, 201):  # useful ones all the time: it does not starve
        push(redis, keys, "good", entry("good"), first=number)
        reader.follow_roster()
        wait_until(lambda: (reader.read(), taken(reader, seen)) and count(seen, "good") >= number)  # noqa: B023
    assert len(seen) - count(seen, "good") == len(evil)
    reader.close()
    redis.close()


def test_large_entries_of_one_actor_end_no_learner(server, keys):
    """The user of one actor may write to a thousand streams of its own."""
    redis = server.connect()
    sizes = [ENTRY_BYTES_MAX // 4, ENTRY_BYTES_MAX // 4, ENTRY_BYTES_MAX - 1, ENTRY_BYTES_MAX]  # just inside, just over
    with learning(server.url, keys.run, replace(CONFIG, lease=LeaseConfig())):
        for number, size in enumerate(sizes):
            push(redis, keys, f"evil-{number:03}", ["x", b"\0" * size])
        push(redis, keys, "good", entry("good"), entry("good"))
        head = head_of(redis, keys, accepted=2, invalid=len(sizes))
    assert int(head["version"]) >= 2
    found = [dict(zip(each[::2], each[1::2], strict=True)) for _, each in redis.call("XRANGE", keys.rejected, "-", "+")]
    refused = {each[b"actor"] for each in found if b"expected at most" in each[b"problem"]}
    assert refused == {b"evil-003"}
    redis.close()
