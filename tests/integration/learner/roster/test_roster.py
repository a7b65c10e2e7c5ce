"""Which actors a learner reads, held against what the user of one actor, or a stranger without users, can write."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import cycle

import pytest
from support.learners import CONFIG, head_of, learning
from support.runs import NEVER, entry, fragment, hash_of, joined_connection
from support.servers import KINDS, RealServer, wait_until

from broodmind.actors.transport.incarnation import parse_incarnation
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import ServerFull
from broodmind.deploy.observe.run_view import look
from broodmind.deploy.observe.status import describe
from broodmind.learner.commit.lease import Lease
from broodmind.learner.roster.roster import Roster

NAMES = [f"aaa{number:06}" for number in range(5000)]  # more than a roster has


def beat(redis, keys, *actors):
    redis.pipeline([("HSET", keys.heartbeat(actor), "state", "playing") for actor in actors])


def push(redis, keys, actor, count=2):
    entries = [entry(actor, seed=seed) for seed in range(count)]
    redis.pipeline([("XADD", keys.trajectories(actor), f"7-{number}", *each) for number, each in enumerate(entries, 1)])


def roster_of(redis, keys):
    return {raw.decode() for raw in redis.call("HKEYS", keys.roster)}


EVIL = ("evil-997", "evil-998", "evil-999")


def fill(redis, keys):
    """Add to streams of no actor as much as the server takes, and then as little as it takes."""
    for size in (1 << 20, 1 << 14, 1):
        names = cycle(EVIL)
        while True:
            added = ("XADD", keys.trajectories(next(names)), "*", "x", b"\0" * size)
            if isinstance(redis.replies([added])[0], ServerFull):
                break


def is_full(redis):
    return isinstance(redis.replies([("SET", "probe", "x")])[0], ServerFull)


def stats_of(redis, keys):
    return hash_of(redis, keys.stats)


@pytest.mark.parametrize("where", ["in the roster", "in heartbeats"])
def test_thousands_of_invented_names_keep_no_actor_out(shared_server, redis, run, keys, where):
    """Without users anybody may write to the roster."""
    beat(redis, keys, *NAMES)
    if where == "in the roster":
        redis.call("HSET", keys.roster, *(part for name in NAMES for part in (name, 1)))
    with learning(shared_server.url, run):
        head_of(redis, keys, version=1)
        beat(redis, keys, "good")
        push(redis, keys, "good")
        head_of(redis, keys, accepted=2)
        assert "good" in roster_of(redis, keys)
    redis.pipeline([("DEL", keys.heartbeat(name), keys.trajectories(name)) for name in NAMES])


@pytest.mark.parametrize("value", ["junk", "9" * 5000, "18446744073709551615", "-5", ["list"]])
def test_an_actor_starts_whatever_its_own_key_holds(shared_server, redis, run, keys, value):
    if isinstance(value, list):
        redis.call("RPUSH", keys.incarnation("a"), *value)
    else:
        redis.call("SET", keys.incarnation("a"), value)
    connection = joined_connection(shared_server.url, run, "a")
    connection.push([fragment()], NEVER)
    assert redis.call("XLEN", keys.trajectories("a")) == 1
    assert parse_incarnation(redis.call("GET", keys.incarnation("a"))) == connection.incarnation
    connection.leave()


def test_who_left_before_a_learner_saw_it_is_read_and_a_stream_of_nobody_is_not(shared_server, redis, run, keys):
    redis.call("SET", keys.incarnation("gone"), "7 c0ffee")
    push(redis, keys, "gone")
    push(redis, keys, "nobody")
    with learning(shared_server.url, run):
        head_of(redis, keys, accepted=2)
        assert roster_of(redis, keys) == {"gone"}
    assert redis.call("XLEN", keys.trajectories("nobody")) == 2


def test_whom_the_configuration_does_not_list_is_not_read(shared_server, redis, run, keys):
    config = replace(CONFIG, intake=replace(CONFIG.intake, admit="good, box"))
    beat(redis, keys, "evil", "boxer", "box-007")
    for actor in ("evil", "boxer", "box-007"):
        push(redis, keys, actor)
    with learning(shared_server.url, run, config):
        head_of(redis, keys, accepted=2)
        assert roster_of(redis, keys) == {"box-007"}
        beat(redis, keys, "good")
        push(redis, keys, "good")
        head_of(redis, keys, accepted=4)


def test_who_is_struck_off_leaves_nothing_behind(redis, keys):
    """And one that lives, or has entries left, stays."""
    lease = Lease(keys, 60_000)
    lease.acquire(redis, NEVER, 0)
    beat(redis, keys, "gone", "alive", "unread")
    redis.pipeline([("SET", keys.incarnation(name), "7 c0ffee") for name in ("gone", "alive", "unread")])
    push(redis, keys, "unread")
    roster = Roster(redis, keys, lease)
    wait_until(lambda: roster.follow() and len(roster.actors) == 3)
    redis.call("DEL", keys.heartbeat("gone"), keys.heartbeat("unread"))
    roster.strike_off_silent()
    assert roster_of(redis, keys) == roster.actors == {"alive", "unread"}
    assert not redis.call("EXISTS", keys.trajectories("gone"), keys.incarnation("gone"))


def test_a_search_finds_actors_among_the_keys_of_others(shared_server, redis, run, keys):
    strangers = [f"stranger-{run}-{number}" for number in range(3000)]
    redis.pipeline([("SET", name, "x") for name in strangers])
    lease = Lease(keys, 60_000)
    lease.acquire(redis, NEVER, 0)
    beat(redis, keys, "a")
    beat(redis, Keys(f"{run}-other"), "b")
    with closing(shared_server.connect()) as server:
        roster = Roster(server, keys, lease)
        wait_until(lambda: roster.follow() or roster.actors)
    assert roster.actors == {"a"}
    redis.call("UNLINK", *strangers)


def test_streams_that_nobody_reads_are_counted_and_named(shared_server, redis, run, keys):
    for name in ("nobody", "nobody-000"):
        push(redis, keys, name)
    redis.call("SET", keys.trajectories("other"), "no stream")
    with learning(shared_server.url, run):
        wait_until(lambda: stats_of(redis, keys).get("unread_streams") == "2", lambda: stats_of(redis, keys))
        stats = stats_of(redis, keys)
        assert 1000 < int(stats["unread_bytes"]) < 100_000
        shown = describe(run, look(redis, keys))
        assert "warning    2 streams that nobody reads hold 0.0 MB: nobody" in shown
        beat(redis, keys, "nobody", "nobody-000")  # their actors come
        head_of(redis, keys, accepted=4)
        wait_until(lambda: stats_of(redis, keys)["unread_streams"] == "0")
        assert "nobody reads" not in describe(run, look(redis, keys))


def test_streams_that_nobody_will_read_are_deleted_if_told_so(shared_server, redis, run, keys):
    config = replace(CONFIG, intake=replace(CONFIG.intake, admit="good,gone,full", trim_unread=True))
    for name in ("nobody", "good", "gone", "unlisted"):
        push(redis, keys, name)
    beat(redis, keys, "good", "unlisted")
    redis.call("SET", keys.incarnation("gone"), "7 c0ffee")  # it lived, and has left entries behind
    with learning(shared_server.url, run, config):
        wait_until(lambda: stats_of(redis, keys).get("unread_trimmed") == "4", lambda: stats_of(redis, keys))
        head_of(redis, keys, accepted=4)
        assert not redis.call("EXISTS", keys.trajectories("nobody"), keys.trajectories("unlisted"))
        wait_until(lambda: stats_of(redis, keys)["unread_streams"] == "0")
    assert roster_of(redis, keys) == {"good", "gone"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("told", ["to trim", "not to trim"])
def test_a_server_that_unread_streams_have_filled_does_not_stop_the_run_for_good(kind, told):
    """The rights of one actor's user suffice to fill it. A learner that is told to trim makes room by itself."""
    server = RealServer(kind, **{"maxmemory-policy": "noeviction"})
    redis, keys = server.connect(), Keys("filled")
    with learning(server.url, "filled"):
        head_of(redis, keys, version=1)
    redis.call("CONFIG", "SET", "maxmemory", 64 << 20)
    fill(redis, keys)
    redis.call("CONFIG", "SET", "maxmemory", 60 << 20)  # not one byte is left
    intake = replace(CONFIG.intake, trim_unread=told == "to trim")
    with learning(server.url, "filled", replace(CONFIG, intake=intake, record="{}")):
        if told == "not to trim":
            wait_until(lambda: stats_of(redis, keys).get("unread_streams") == "3", lambda: stats_of(redis, keys))
            text = stats_of(redis, keys)["warning_unread"]
            assert "evil-997" in text
            assert "UNLINK" in text
            with pytest.raises(ServerFull):
                push(redis, keys, "good")
            redis.call("UNLINK", *(keys.trajectories(name) for name in EVIL))  # as the warning says
        wait_until(lambda: not is_full(redis))
        beat(redis, keys, "good")
        push(redis, keys, "good")
        head_of(redis, keys, accepted=2)
    redis.close()
    server.close()
