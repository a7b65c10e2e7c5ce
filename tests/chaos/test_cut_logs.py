"""An append-only file cut at any place, as by a power cut: what is left is a run, now and after the next restart."""

from __future__ import annotations

import re
import shutil

import pytest
from support.books import audit, backlog, check_learner_state
from support.learners import counters, learning
from support.players import playing
from support.runs import contents
from support.servers import KINDS, RealServer, ScriptedServer, wait_until

from broodmind.common.server.keys import Keys

RUN = "cut"
KEYS = Keys(RUN)
TRANSACTIONS = re.compile(rb"\*1\r\n\$5\r\nMULTI\r\n.*?\*1\r\n\$4\r\nEXEC\r\n", re.DOTALL)
LAST = 50  # versions, somewhere among which the log is cut
PLAIN = {"appendonly": "yes", "appendfsync": "always", "aof-load-truncated": "yes"}


def log_of(server):
    (path,) = (server.folder / "appendonlydir").glob("*.incr.aof")
    return path


def play(server, versions):
    """A learner that knows of nothing before, and two actors, for so many versions and until all is consumed."""
    redis = server.connect()
    redis.call("DEL", KEYS.lease)  # that of a learner long dead, in a log cut while it held it
    floor = counters(redis, KEYS).get("version", 0)
    with learning(server.url, RUN):
        with playing(server.url, RUN, "a", "b"):
            wait_until(lambda: counters(redis, KEYS).get("version", 0) >= floor + versions)
        wait_until(lambda: backlog(redis, KEYS) == 0)
    redis.close()


def state(server):
    """All of a run but what expires."""
    redis = server.connect()
    passing = {KEYS.lease, KEYS.heartbeat("a"), KEYS.heartbeat("b")}
    return {key: value for key, value in contents(redis, KEYS).items() if key not in passing and ":staged:" not in key}


def cut_after(content, mark, chaos):
    """Somewhere after `mark`; every other time within a transaction, where it hurts most."""
    blocks = [match.span() for match in TRANSACTIONS.finditer(content, mark)]
    first, last = chaos.choice(blocks) if chaos.random() < 0.5 else (mark, len(content))
    return chaos.randrange(first + 1, last)


@pytest.fixture(params=KINDS)
def recorded(request, tmp_path):
    """The data of a run, and where in its log its last versions begin."""
    server = RealServer(request.param, **PLAIN)
    try:
        play(server, 20)
        mark = log_of(server).stat().st_size
        redis = server.connect()
        floor = counters(redis, KEYS)["version"]
        with learning(server.url, RUN), playing(server.url, RUN, "a", "b"):
            wait_until(lambda: counters(redis, KEYS)["version"] >= floor + LAST)
        redis.close()
        server.kill()
        shutil.copytree(server.folder / "appendonlydir", tmp_path / "recorded")
    finally:
        server.close()
    return request.param, tmp_path / "recorded", mark


# Without start-redis.sh, Redis 7.0.15 keeps half a transaction and runs it at the second restart. Streams then
# have entries, and a key the weights, of a commit that never was; what the run is at stands, as all of it is absolute.
ABSOLUTE = {KEYS.head, KEYS.latest, KEYS.learner, KEYS.stats}


@pytest.mark.parametrize(("start", "whole"), [(ScriptedServer, 100), (RealServer, 100)])
def test_a_cut_log_counts_nothing_twice_after_two_restarts(recorded, times, chaos, start, whole):
    kind, data, mark = recorded
    server = start(kind, **PLAIN) if start is RealServer else start(kind)
    content = (data / log_of(server).name).read_bytes()
    half_run = 0
    try:
        for _ in range(times(whole)):
            server.kill()
            shutil.rmtree(server.folder / "appendonlydir")
            shutil.copytree(data, server.folder / "appendonlydir")
            at = cut_after(content, mark, chaos)
            log_of(server).write_bytes(content[:at])
            server.start()
            redis = server.connect()
            audit(server.url, RUN)
            check_learner_state(redis, KEYS)
            play(server, 3)
            audit(server.url, RUN)
            before = state(server)
            server.kill()
            server.start()
            after = state(server)
            changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
            if start is ScriptedServer:
                audit(server.url, RUN)
                assert not changed, f"cut at {at} of {len(content)}"
            assert not changed & ABSOLUTE, f"cut at {at} of {len(content)}"
            half_run += bool(changed)
        print(f"{kind}, {start.__name__}: {times(whole)} cuts, {half_run} with a transaction that was half run")
    finally:
        server.close()
