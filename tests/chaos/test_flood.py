"""A flood of entries up to the server's memory limit: the learner keeps its lease, makes room, and the run goes on."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import pytest
from support.books import audit, backlog
from support.learners import CONFIG, counters, learning
from support.players import playing
from support.servers import KINDS, RealServer, wait_until

from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import ServerFull
from broodmind.learner.config import LearnerConfig

RUN = "flood"
KEYS = Keys(RUN)
ROOM = 24 << 20  # above what the `rejected` stream may keep
ENTRY = b"x" * 200_000
USUAL = replace(CONFIG, lease=LearnerConfig().lease)  # a lease as it is by default, which can be lost


def used(redis):
    return int(redis.call("INFO", "memory").split(b"used_memory:")[1].split()[0])


def flood(redis, first):
    """Add what no learner would take, as fast as can be, until the server refuses more; returns how many it took."""
    numbers, taken = itertools.count(first), 0
    while True:
        adding = [("XADD", KEYS.trajectories("flood"), f"1-{next(numbers)}", "p", ENTRY) for _ in range(16)]
        replies = redis.replies(adding)
        refused = sum(isinstance(reply, ServerFull) for reply in replies)
        taken += len(replies) - refused
        if refused:
            return taken


@pytest.fixture(params=KINDS)
def server(request):
    server = RealServer(request.param, **{"maxmemory-policy": "noeviction"})
    yield server
    server.close()


def test_a_server_filled_to_its_memory_limit_is_drained_without_losing_lease_or_entries(server, times, tmp_path):
    redis, taken, recovery_s = server.connect(), 0, []
    with learning(server.url, RUN, USUAL):
        wait_until(lambda: counters(redis, KEYS))
        token = redis.call("GET", KEYS.lease)
        with playing(server.url, RUN, "a", "b", journals=tmp_path):
            redis.call("SET", KEYS.incarnation("flood"), "7 x")
            for each in range(times(20)):
                redis.call("CONFIG", "SET", "maxmemory", used(redis) + ROOM)
                accepted = counters(redis, KEYS)["accepted"]
                taken += flood(redis, first=1 + 1_000_000 * each)
                redis.call("CONFIG", "SET", "maxmemory", used(redis) - (2 << 20))  # not one byte is left
                began_s = time.monotonic()
                wait_until(lambda: redis.call("XLEN", KEYS.trajectories("flood")) == 0, lambda: counters(redis, KEYS))
                wait_until(lambda: counters(redis, KEYS)["accepted"] > accepted)  # noqa: B023
                redis.call("SET", "probe", "x")
                recovery_s.append(time.monotonic() - began_s)
                assert redis.call("GET", KEYS.lease) == token
        wait_until(lambda: backlog(redis, KEYS) == 0)
    metrics = audit(server.url, RUN, tmp_path, commits_max=1 << 20)  # at full scale, a hundred and more a second
    print(f"{len(recovery_s)} floods, {taken} entries in all, {max(recovery_s):.2f} s to recover; {metrics}")
    assert metrics["invalid"] == taken
    assert metrics["duplicate"] == metrics["acknowledged_lost"] == 0
