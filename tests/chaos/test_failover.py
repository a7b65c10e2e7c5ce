"""A replica that was cut off becomes the primary, without what was committed since: it is noticed, and counts once."""

from __future__ import annotations

import pytest
from support.books import audit, check_learner_state
from support.learners import counters, learning
from support.players import playing
from support.proxy import Proxy
from support.servers import KINDS, RealServer, wait_until

from broodmind.common.server.keys import Keys

RUN = "failover"
KEYS = Keys(RUN)
OPTIONS = {"repl-diskless-sync": "yes", "repl-diskless-sync-delay": "0", "repl-timeout": "5"}


def info(redis, section):
    lines = redis.call("INFO", section).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def follow(primary, replica, link):
    """Make `replica` a replica of `primary` over a link that can be cut, and wait until it has all there is."""
    link.target, link.refusing = primary.port, False
    redis = replica.connect()
    redis.call("REPLICAOF", "127.0.0.1", link.port)
    redis.close()
    wait_until(lambda: link_of(replica) == "up")


def link_of(replica):
    """Whether a replica is connected to its primary."""
    redis = replica.connect()
    try:
        return info(redis, "replication").get("master_link_status")
    finally:
        redis.close()


def head(server):
    """Where the run stands on a server."""
    redis = server.connect()
    try:
        return counters(redis, KEYS)
    finally:
        redis.close()


def fail_over(clients, replica, *, successor=False):
    redis = replica.connect()
    redis.call("REPLICAOF", "NO", "ONE")
    if successor:  # the lease that was held when the link was cut runs out, sooner or later
        redis.call("DEL", KEYS.lease)
    redis.close()
    clients.target = replica.port
    clients.cut()


def wait_for_epoch(server, players, epoch):
    """Wait until the learner has opened it, the actors have followed, and versions are published in it."""
    wait_until(lambda: head(server)["epoch"] == epoch, lambda: head(server))
    wait_until(lambda: {player.connection.latest.epoch for player in players} == {epoch})
    opened_at = head(server)["version"]
    wait_until(lambda: head(server)["version"] > opened_at + 2, lambda: head(server))


@pytest.fixture(params=KINDS)
def pair(request):
    servers = [RealServer(request.param, **OPTIONS) for _ in range(2)]
    yield servers
    for server in servers:
        server.close()


@pytest.mark.parametrize("successor", [False, True])
def test_a_failover_to_an_older_replica_is_noticed_and_counts_nothing_twice(pair, times, chaos, successor):
    """By the learner that committed what was lost; or by a successor, which cannot know of it."""
    (primary, replica), rounds, lost = pair, times(15), 0
    with Proxy(primary.port) as clients, Proxy(primary.port, raw=True) as link:
        with learning(clients.url, RUN):
            wait_until(lambda: head(primary))
        with playing(clients.url, RUN, "a", "b") as players:
            for epoch in range(1, rounds + 1):
                with learning(clients.url, RUN):
                    wait_for_epoch(primary, players, epoch)
                    follow(primary, replica, link)
                    wait_until(lambda now=replica: head(now))
                    link.refusing = True
                    link.cut()
                    wait_until(lambda now=replica: link_of(now) == "down")  # and has nothing more to take in
                    left_at = head(replica)["version"]
                    beyond = left_at + chaos.randint(1, 12)
                    wait_until(lambda now=primary, then=beyond: head(now)["version"] >= then)
                    if not successor:
                        fail_over(clients, replica)
                        wait_for_epoch(replica, players, epoch + 1)
                lost += beyond - left_at
                if successor:
                    fail_over(clients, replica, successor=True)
                primary, replica = replica, primary
            with learning(clients.url, RUN):
                wait_for_epoch(primary, players, rounds + 1)
    redis = primary.connect()
    metrics = audit(primary.url, RUN)
    check_learner_state(redis, KEYS)
    print(f"{rounds} failovers, {lost} versions lost, {metrics['epochs'] - 1} noticed; {metrics}")
    assert metrics["epochs"] == rounds + 1
    assert metrics["duplicate"] == 0
