"""A lease that is kept, and one that is lost while it is kept."""

from __future__ import annotations

from contextlib import closing

import pytest
from support.runs import NEVER
from support.servers import RealServer, wait_until

from broodmind.common.errors import LeaseLost, RedisUnreachable
from broodmind.common.server.keys import Keys
from broodmind.learner.commit.lease import Lease
from broodmind.learner.commit.lease_keeper import LeaseKeeper


@pytest.fixture
def lease(redis, run):
    lease = Lease(Keys(run), 300)
    lease.acquire(redis, NEVER, 0)
    return lease


def raises(keeper, error):
    """Whether `check` raises such an error by now."""
    try:
        keeper.check()
    except error:
        return True
    return False


def test_a_lease_outlives_its_time_while_nobody_reads_or_commits(shared_server, redis, run, lease):
    with closing(LeaseKeeper(shared_server.connect(), lease)) as keeper:
        keeper.start()
        redis.call("SET", "clock", "x", "PX", 1000)
        wait_until(lambda: not redis.call("EXISTS", "clock"))
        keeper.check()
        assert redis.call("GET", Keys(run).lease).decode() == lease.token
    wait_until(lambda: not redis.call("EXISTS", Keys(run).lease))


def test_a_lease_that_another_took_is_said_to_be_lost(shared_server, redis, run, lease):
    with closing(LeaseKeeper(shared_server.connect(), lease)) as keeper:
        keeper.start()
        redis.call("SET", Keys(run).lease, "2-other")
        wait_until(lambda: raises(keeper, LeaseLost))


def test_a_server_that_is_gone_is_said_to_be_unreachable():
    server = RealServer("redis")
    lease = Lease(Keys("kept"), 300)
    lease.acquire(server.connect(), NEVER, 0)
    with closing(LeaseKeeper(server.connect(), lease)) as keeper:
        keeper.start()
        server.close()
        wait_until(lambda: raises(keeper, RedisUnreachable))
