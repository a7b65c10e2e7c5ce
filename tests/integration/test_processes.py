"""Learner and actors as users start them: killed, drained, reproduced."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
from contextlib import closing

import pytest
from support.marks import one_kind
from support.runs import broodmind, counters, hash_of, lock_step_run, running
from support.servers import PATIENCE_S, wait_until

from broodmind.common.errors import LeaseLost
from broodmind.common.server.keys import Keys
from broodmind.common.wire import codec
from broodmind.deploy.audit.verify import verify


def options(server, run):
    return ("--redis", server.url, "--run", run)


def test_a_killed_learner_resumes_from_its_last_version_with_exact_counters(shared_server, redis, run):
    """Every entry that was ever added is still in its stream, or is in one version's count: none lost, none twice."""
    keys, common = Keys(run), options(shared_server, run)
    with running("actors", *common, "--actors", "2", "--envs", "4", "--name", "a"):
        for _ in range(3):
            before = counters(redis, keys).get("version", 0)
            learner = broodmind("learner", *common, "--batch-steps", "256")
            wait_until(lambda floor=before: counters(redis, keys).get("version", 0) > floor + 20)
            learner.send_signal(signal.SIGKILL)
            learner.communicate()
            redis.call("DEL", keys.lease)  # as time does; a busy machine would lose a lease as short as a test likes it
        killed = counters(redis, keys)
        with running("learner", *common, "--batch-steps", "256"):
            wait_until(lambda: counters(redis, keys)["version"] > killed["version"] + 20)
    head = counters(redis, keys)
    added = left = 0
    for actor in ("a-000", "a-001"):
        raw = redis.call("XINFO", "STREAM", keys.trajectories(actor))
        stream = dict(zip(raw[::2], raw[1::2], strict=True))
        added, left = added + stream[b"entries-added"], left + stream[b"length"]
    refused = sum(head[name] for name in ("stale", "too_old", "wrong_epoch", "invalid", "duplicate"))
    assert added - left == head["accepted"] + refused
    assert (head["lost"], head["duplicate"], head["invalid"]) == (0, 0, 0)
    # The chain of versions says the same: one step each, each the child of the one before.
    versions = [dict(zip(f[::2], f[1::2], strict=True)) for _, f in redis.call("XRANGE", keys.versions, "-", "+")]
    assert [int(each[b"version"]) for each in versions] == list(range(1, head["version"] + 1))
    assert all(int(b[b"accepted"]) > int(a[b"accepted"]) for a, b in itertools.pairwise(versions))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_learner_and_actors(shared_server, redis, run, number):
    keys, common = Keys(run), options(shared_server, run)
    learner, actors = broodmind("learner", *common), broodmind("actors", *common, "--actors", "2", "--envs", "4")
    wait_until(lambda: counters(redis, keys).get("version", 0) > 3)
    for process in (learner, actors):
        process.send_signal(number)
    for process in (learner, actors):
        _, shown = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, shown
    assert redis.call("EXISTS", keys.lease) == 0
    assert not redis.call("KEYS", keys.heartbeat("*"))
    assert not redis.call("KEYS", f"broodmind:{{{run}}}:staged:*")


def test_status_shows_the_run(shared_server, redis, run):
    keys, common = Keys(run), options(shared_server, run)
    with running("learner", *common), running("actors", *common, "--envs", "4", "--name", "a"):
        wait_until(lambda: counters(redis, keys).get("version", 0) > 3)
        printed, _ = broodmind("status", *common, "--json").communicate(timeout=PATIENCE_S)
        text, _ = broodmind("status", *common).communicate(timeout=PATIENCE_S)
    view = json.loads(printed)
    assert int(view["head"]["version"]) > 3
    (actor,) = view["actors"]
    assert actor["name"] == "a-000"
    assert 0 <= actor["lag"] <= actor["backlog"]
    assert f"run {run}   epoch 1   version" in text
    assert "a-000" in text


def test_lock_step_with_a_seed_is_reproducible_bit_for_bit(each_server, run):
    """On a server of another kind, and with actors that come in another order, too."""

    def play(server, name, seed, *names):
        keys, batch = Keys(name), ("--fragment-length", "16", "--batch-steps", "128")
        with closing(server.connect()) as redis:
            lock_step_run(server, name, *batch, "--seed", seed, "--max-steps", "2000", names=names)
            head = counters(redis, keys)
            assert head["steps"] >= 2000
            assert head["stale"] == 0
            return redis.call("GET", keys.weights(1, head["version"]))

    one, another = each_server
    first, again = play(one, f"{run}-1", "5", "a", "b"), play(another, f"{run}-2", "5", "b", "a")
    other = play(one, f"{run}-3", "6", "a", "b")
    assert first == again
    assert first != other


def test_actors_can_be_held_back_to_an_exact_staleness(shared_server, redis, run):
    keys, common = Keys(run), options(shared_server, run)
    learning = (
        "--lock-step",
        "--max-staleness",
        "2",
        "--fragment-length",
        "16",
        "--batch-steps",
        "64",
        "--max-steps",
        "4000",
    )
    with running("actors", *common, "--envs", "4", "--policy-lag", "2"):
        _, shown = broodmind("learner", *common, *learning).communicate(timeout=PATIENCE_S)
    stats = hash_of(redis, keys.stats)
    assert counters(redis, keys)["stale"] == 0, shown
    assert (float(stats["staleness_p50"]), float(stats["staleness_max"])) == (2, 2)


def test_whole_games_train_reinforce(shared_server, redis, run):
    keys, common = Keys(run), options(shared_server, run)
    with running("actors", *common, "--envs", "8"):
        learner = broodmind("learner", *common, "--algo", "reinforce", "--max-steps", "3000")
        _, shown = learner.communicate(timeout=PATIENCE_S)
    assert learner.returncode == 0, shown
    head = counters(redis, keys)
    assert head["games"] == head["accepted"] > 32
    assert head["invalid"] == 0
    stats = hash_of(redis, keys.stats)
    assert stats["algo"] == "reinforce"
    assert float(stats["effective_rate"]) < float(stats["learning_rate"])


def test_a_learner_paused_past_its_lease_writes_nothing_more(shared_server, redis, run):
    keys, common = Keys(run), (*options(shared_server, run), "--lease-ttl", "3")
    with running("actors", *common[:4], "--envs", "4"):
        sleeper = broodmind("learner", *common)
        wait_until(lambda: counters(redis, keys).get("version", 0) > 3)
        sleeper.send_signal(signal.SIGSTOP)
        wait_until(lambda: not redis.call("EXISTS", keys.lease))
        slept_at = counters(redis, keys)["version"]
        with running("learner", *common) as heir:
            wait_until(lambda: counters(redis, keys)["version"] > slept_at + 3)
            sleeper.send_signal(signal.SIGCONT)
            _, shown = sleeper.communicate(timeout=PATIENCE_S)
            awake_at = counters(redis, keys)["version"]
            wait_until(lambda: counters(redis, keys)["version"] > awake_at + 3)
            assert heir.poll() is None
    assert sleeper.returncode == LeaseLost.exit_code, shown
    assert "another learner took over" in shown
    head = counters(redis, keys)
    assert redis.call("XLEN", keys.versions) == head["version"] == head["updates"] + 1


def test_a_learner_paused_past_its_lease_goes_on_where_nobody_took_it(shared_server, redis, run):
    keys, common = Keys(run), (*options(shared_server, run), "--lease-ttl", "1")
    with running("actors", *common[:4], "--envs", "4"), running("learner", *common) as sleeper:
        wait_until(lambda: counters(redis, keys).get("version", 0) > 3)
        sleeper.send_signal(signal.SIGSTOP)
        wait_until(lambda: not redis.call("EXISTS", keys.lease))
        slept_at = counters(redis, keys)["version"]
        sleeper.send_signal(signal.SIGCONT)
        wait_until(lambda: counters(redis, keys)["version"] > slept_at + 3)
        assert sleeper.poll() is None
        assert redis.call("GET", keys.fence) != b"1"
    assert sleeper.returncode == 0
    assert verify(shared_server.url, run).violations == []


@one_kind
def test_actors_and_restarts_of_an_actor_play_different_games(shared_server, redis, run):
    """Else more actors would mean more copies of the same games."""
    keys, common = Keys(run), options(shared_server, run)
    with running("learner", *common, "--fragment-length", "4"):
        wait_until(lambda: redis.call("EXISTS", keys.latest))

    def first_of(actor):
        before = redis.call("XLEN", keys.trajectories(actor))
        process = broodmind("actor", *common, "--envs", "2", "--name", actor, stdin=subprocess.PIPE)
        wait_until(lambda: redis.call("XLEN", keys.trajectories(actor)) > before)
        process.communicate(timeout=PATIENCE_S)
        _, fields = redis.call("XRANGE", keys.trajectories(actor), "-", "+")[before]
        return codec.decode(fields[-1], max_bytes=10**6)["observations"]

    played = [first_of("a"), first_of("b"), first_of("a")]
    assert all(one != other for one, other in itertools.combinations(played, 2))
