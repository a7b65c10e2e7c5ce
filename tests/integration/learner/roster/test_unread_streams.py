"""Which streams that are not read are deleted, on real servers."""

from __future__ import annotations

import pytest
from support.runs import hash_of

from broodmind.common.errors import LeaseLost
from broodmind.common.server.keys import GROUP
from broodmind.learner.roster.unread_streams import UnreadStreams

ACTORS = ("nobody", "once-read", "alive", "lived", "on-the-roster", "unlisted", "empty", "no-stream")


@pytest.fixture
def streams(redis, keys):
    """Streams of actors that are as their names say."""
    for name in ACTORS[:6]:
        redis.pipeline([("XADD", keys.trajectories(name), f"7-{n}", "x", b"\0" * 10_000) for n in range(1, 4)])
    redis.call("XGROUP", "CREATE", keys.trajectories("once-read"), GROUP, "0")
    redis.call("XREADGROUP", "GROUP", GROUP, "mind", "STREAMS", keys.trajectories("once-read"), ">")
    redis.call("XGROUP", "CREATE", keys.trajectories("empty"), GROUP, "0", "MKSTREAM")
    redis.call("SET", keys.trajectories("no-stream"), "x")
    redis.call("HSET", keys.heartbeat("alive"), "state", "playing")
    redis.call("SET", keys.incarnation("lived"), "7 c0ffee")
    redis.call("HSET", keys.roster, "on-the-roster", 1)
    redis.call("HSET", keys.heartbeat("unlisted"), "state", "playing")


def unread_of(redis, keys, lease, *, trim):
    unread = UnreadStreams(redis, keys, lease, lambda name: name != "unlisted", trim=trim)
    unread.found(ACTORS)
    unread.look()
    return {name: int(value) for name, value in hash_of(redis, keys.stats).items() if value.isdigit()}


def there(redis, keys):
    return {name for name in ACTORS if redis.call("EXISTS", keys.trajectories(name))}


def test_what_is_there_is_counted_and_left_where_it_is(redis, keys, lease, streams):
    stats = unread_of(redis, keys, lease, trim=False)
    assert (stats["unread_streams"], stats["unread_trimmed"]) == (6, 0)
    assert 6 * 30_000 < stats["unread_bytes"] < 6 * 60_000
    assert there(redis, keys) == set(ACTORS)


def test_only_what_nobody_will_read_is_deleted(redis, keys, lease, streams):
    stats = unread_of(redis, keys, lease, trim=True)
    assert set(ACTORS) - there(redis, keys) == {"nobody", "once-read", "unlisted"}
    assert (stats["unread_streams"], stats["unread_trimmed"]) == (3, 9)


def test_a_learner_without_the_lease_deletes_nothing(redis, keys, lease, streams):
    redis.call("SET", keys.lease, "2-other")
    with pytest.raises(LeaseLost):
        unread_of(redis, keys, lease, trim=True)
    assert there(redis, keys) == set(ACTORS)
