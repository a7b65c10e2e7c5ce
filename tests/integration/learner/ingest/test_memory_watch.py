"""When a server is almost full, on real servers."""

from __future__ import annotations

import pytest
from support.servers import KINDS, RealServer

from broodmind.learner.ingest.memory_watch import MemoryWatch


@pytest.fixture(params=KINDS)
def redis(request):
    server = RealServer(request.param)
    redis = server.connect()
    yield redis
    redis.close()
    server.close()


@pytest.mark.parametrize(("limit", "full"), [(0, False), (64 << 20, False), (9 << 20, True)])
def test_it_is_a_share_of_the_limit_if_there_is_one(redis, limit, full):
    redis.call("SET", "x", b"\0" * (8 << 20))
    redis.call("CONFIG", "SET", "maxmemory", limit)
    assert MemoryWatch(redis).almost_full == full


def test_the_server_is_asked_again_after_a_second(redis, monkeypatch):
    now_s = 0.0
    monkeypatch.setattr("broodmind.common.process.clock.monotonic_s", lambda: now_s)
    watch = MemoryWatch(redis)
    assert not watch.almost_full
    redis.call("CONFIG", "SET", "maxmemory", 1 << 20)
    assert not watch.almost_full
    now_s = 1.0
    assert watch.almost_full
