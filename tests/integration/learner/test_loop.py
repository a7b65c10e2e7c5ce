"""A learner in a thread of the test, against real servers and hand-made entries."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from support.faulty_server import FaultyServer
from support.learners import CONFIG, ONE_PIECE, STRIKING_OFF, head_of, learning
from support.runs import NEVER, SPEC, entry, everything, fragment, hash_of, joined_connection, make_header, trajectory
from support.servers import KINDS, PATIENCE_S, RealServer, wait_until

from broodmind.actors.rollout import Fragment
from broodmind.common.actions import Discrete
from broodmind.common.errors import ConfigError, LeaseHeld, LeaseLost, RedisUnreachable
from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import GROUP, Keys
from broodmind.common.server.streams import ServerFull
from broodmind.common.spec import GameSpec
from broodmind.common.wire.entry_header import parse_entry
from broodmind.common.wire.trajectory import encode_trajectory
from broodmind.common.wire.weights import Pointer, decode_weights
from broodmind.deploy.audit.verify import verify
from broodmind.deploy.observe.run_view import look
from broodmind.deploy.observe.status import describe
from broodmind.learner.config import CheckpointConfig, Goal, LeaseConfig
from broodmind.learner.loop import learn


def faulty_connection(url, run, actor, **options):
    """An actor and its way to the server, which fails as told.

    No time passes for it: however long a busy machine takes, what it sent was sent just now, and is sent again.
    """
    own = FaultyServer(url)
    return joined_connection(url, run, actor, server=own, **{"clock": lambda: 0.0, **options}), own


def lag_of(redis, keys, actor):
    """Entries not yet read; None before the learner has made its group."""
    groups = redis.call("XINFO", "GROUPS", keys.trajectories(actor))
    return groups[0][groups[0].index(b"lag") + 1] if groups else None


def push(redis, keys, actor, entries, *, incarnation=7, first=1):
    stream = keys.trajectories(actor)
    adds = [("XADD", stream, f"{incarnation}-{number}", *fields) for number, fields in enumerate(entries, first)]
    # At once: a learner that sees only the first of them for long may commit it by itself.
    redis.pipeline([("HSET", keys.heartbeat(actor), "state", "playing"), *adds])


def test_a_new_run_starts_with_a_version_that_decodes(shared_server, redis, run, keys):
    with learning(shared_server.url, run):
        head_of(redis, keys, version=1)
        pointer = Pointer.from_json(redis.call("GET", keys.latest))
        params = decode_weights(redis.call("GET", keys.weights(1, 1)), pointer.digest, SPEC)
    assert params["policy/w0"].shape == (3, 8)


def test_each_trajectory_is_trained_on_once_and_leaves_its_stream(shared_server, redis, run, keys):
    with learning(shared_server.url, run):
        push(redis, keys, "a", [entry("a", seed=seed) for seed in range(4)])
        push(redis, keys, "b", [entry("b", seed=seed) for seed in range(4, 8)])
        head = head_of(redis, keys, accepted=8)
    assert int(head["steps"]) == 8 * ONE_PIECE
    assert int(head["games"]) == 8
    assert int(head["updates"]) == int(head["version"]) - 1 == 4
    assert redis.call("XLEN", keys.trajectories("a")) == redis.call("XLEN", keys.trajectories("b")) == 0


def test_every_rejected_entry_is_counted_by_its_reason(shared_server, redis, run, keys):
    config = replace(CONFIG, intake=replace(CONFIG.intake, max_staleness=0))
    with learning(shared_server.url, run, config):
        push(redis, keys, "a", [entry("a"), entry("a")])
        head_of(redis, keys, version=2)
        whole = encode_trajectory(trajectory(), "a", SPEC)
        bad = [
            entry("a", version=1),  # stale: version 2 is current, and nothing may be older
            entry("a", epoch=2, version=2),  # of an epoch that is not
            entry("a", version=3),  # of a version that is not yet
            entry("a", version=2, payload=whole[:-7]),  # truncated
            entry("b", version=2),  # somebody else's, in this actor's stream
            ["nonsense", "1"],
        ]
        push(redis, keys, "a", bad, first=3)
        head = head_of(redis, keys, invalid=3)
        rejected = redis.call("XRANGE", keys.rejected, "-", "+")
    assert {name: int(head[name]) for name in ("stale", "wrong_epoch", "invalid", "accepted")} == {
        "stale": 1,
        "wrong_epoch": 2,
        "invalid": 3,
        "accepted": 2,
    }
    assert redis.call("XLEN", keys.trajectories("a")) == 0
    problems = [dict(zip(fields[::2], fields[1::2], strict=True))[b"problem"].decode() for _, fields in rejected]
    assert [problem.partition(":")[0] for problem in problems] == ["payload", "actor", "entry"]


def test_every_update_reports_its_steps_games_and_staleness(shared_server, redis, run, keys):
    config = replace(CONFIG, intake=replace(CONFIG.intake, max_staleness=1))
    with learning(shared_server.url, run, config):
        for version in (1, 2):
            push(redis, keys, "a", [entry("a", version=version)] * 2, first=2 * version - 1)
            head_of(redis, keys, version=version + 1)
        push(redis, keys, "a", [entry("a", version=1), entry("a", version=2), entry("a", version=3)], first=5)
        head_of(redis, keys, version=4)
        (_, fields), *_ = redis.call("XREVRANGE", keys.versions, "+", "-", "COUNT", 1)
    texts = {"commit", "parent", "server"}
    named = zip((name.decode() for name in fields[::2]), fields[1::2], strict=True)
    metrics = {name: float(value) for name, value in named if name not in texts}
    steps = trajectory().steps
    assert metrics["batch_steps"] == 2 * steps
    assert metrics["batch_games"] == 2 * trajectory().games
    assert (metrics["batch_staleness_p50"], metrics["batch_staleness_max"]) == (0, 1)
    assert metrics["stale"] == 1
    assert metrics["sample_reuse"] == pytest.approx(CONFIG.algorithm.n_epochs * 2 / 3, rel=1e-5)
    assert {"policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "effective_samples"} <= metrics.keys()
    assert {"gradient_norm", "explained_variance", "effective_rate"} <= metrics.keys()


def test_a_gap_in_the_sequence_is_counted_as_lost(shared_server, redis, run, keys):
    with learning(shared_server.url, run):
        push(redis, keys, "a", [entry("a")], first=1)
        push(redis, keys, "a", [entry("a")], first=5)
        head = head_of(redis, keys, accepted=2)
        assert int(head["lost"]) == 3
        push(redis, keys, "a", [entry("a"), entry("a")], incarnation=8)
        assert int(head_of(redis, keys, accepted=4)["lost"]) == 3


@pytest.mark.parametrize("removed", ["lease", "lease and fence"])
def test_a_learner_whose_lease_ended_takes_it_again_if_nobody_has(shared_server, redis, run, keys, removed):
    with learning(shared_server.url, run) as learner:
        push(redis, keys, "a", [entry("a"), entry("a")])
        head_of(redis, keys, accepted=2)
        redis.call("DEL", keys.lease, *([keys.fence] if removed == "lease and fence" else []))
        push(redis, keys, "a", [entry("a"), entry("a"), entry("a"), entry("a")], first=3)
        head = head_of(redis, keys, accepted=6)
        assert learner.is_alive()
        assert redis.call("GET", keys.lease).startswith(b"2-")
    assert (head["epoch"], head["duplicate"], head["lost"]) == ("1", "0", "0")
    verdict = verify(shared_server.url, run)
    assert (verdict.violations, verdict.metrics["consumed"]) == ([], 6)


def test_a_learner_whose_lease_another_had_meanwhile_ends(shared_server, redis, run, keys):
    def learn_until_it_ends():
        with learning(shared_server.url, run) as learner:
            head_of(redis, keys, version=1)
            redis.pipeline([("DEL", keys.lease), ("INCR", keys.fence)])  # as if it had come and gone
            push(redis, keys, "a", [entry("a"), entry("a")])
            wait_until(lambda: not learner.is_alive())

    with pytest.raises(LeaseLost):
        learn_until_it_ends()
    assert head_of(redis, keys)["version"] == "1"
    assert not redis.call("EXISTS", keys.lease)


def test_hostile_names_starve_nobody(shared_server, redis, run, keys):
    bad = ["a:b", "{x}", "\x00", "x" * 100]
    redis.call("HSET", keys.roster, "string", 1, *(part for name in bad for part in (name, 1)))
    redis.pipeline([("HSET", keys.heartbeat(name), "state", "playing") for name in [*bad, "other"]])
    redis.pipeline([("SET", keys.trajectories(name), "no stream") for name in ("string", "other")])
    with learning(shared_server.url, run):
        push(redis, keys, "good", [entry("good"), entry("good")])
        head_of(redis, keys, accepted=2)
    assert not [name for name in bad if redis.call("EXISTS", keys.trajectories(name))]


def test_a_batch_goes_short_after_its_time_and_says_what_would_help(shared_server, redis, run, keys, caplog):
    config = replace(CONFIG, intake=replace(CONFIG.intake, batch_steps=1000, batch_wait=0.3))
    with learning(shared_server.url, run, config):
        for version in (1, 2):
            head_of(redis, keys, version=version)
            push(redis, keys, "a", [entry("a", version=version)] * 3, first=3 * version)
        head_of(redis, keys, version=3, accepted=6, short_batches=2)
        wait_until(lambda: hash_of(redis, keys.stats).get("short_batches") == "2")
        text = describe(run, look(redis, keys))
    said = [record.getMessage() for record in caplog.records if "before it was complete" in record.getMessage()]
    assert len(said) == 1
    for shown in (said[0], text):
        assert all(name in shown for name in ("batch_steps", "actors", "batch_wait"))


def test_an_incomplete_batch_waits_though_nobody_sends_more(shared_server, redis, run, keys):
    config = replace(CONFIG, intake=replace(CONFIG.intake, batch_steps=3 * ONE_PIECE))
    with learning(shared_server.url, run, config):
        push(redis, keys, "a", [entry("a")] * 2)
        wait_until(lambda: lag_of(redis, keys, "a") == 0)
        push(redis, keys, "b", [entry("b")])
        head = head_of(redis, keys, version=2)
        assert (head["accepted"], head["short_batches"]) == ("3", "0")


def test_a_goal_that_needs_less_than_a_batch_is_reached(shared_server, redis, run, keys):
    config = replace(CONFIG, intake=replace(CONFIG.intake, batch_steps=1000), goal=Goal(max_steps=2 * ONE_PIECE))
    with learning(shared_server.url, run, config) as thread:
        push(redis, keys, "a", [entry("a"), entry("a")])
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert hash_of(redis, keys.head)["short_batches"] == "0"


def test_a_learner_that_is_stopped_leaves_the_figures_of_its_last_commit(shared_server, redis, run, keys):
    """Else a run's summary has the return of an earlier update beside the version and the games of the last one."""
    config = replace(CONFIG, intervals=replace(CONFIG.intervals, gauges_s=1e9))
    sent = [entry("a", seed=seed) for seed in range(4)]
    with learning(shared_server.url, run, config):
        push(redis, keys, "a", sent)
        head_of(redis, keys, version=3)
        assert "return_mean" not in hash_of(redis, keys.stats)
    returns = [float(each) for fields in sent for each in fields[fields.index(b"returns") + 1].split()]
    assert int(hash_of(redis, keys.head)["games"]) == len(returns)
    assert float(hash_of(redis, keys.stats)["return_mean"]) == pytest.approx(np.mean(returns), rel=1e-5)


def test_a_successor_continues_the_same_sequence(shared_server, redis, run, keys):
    """Two learners one after the other leave bit for bit the weights that one alone leaves."""
    plan = [[entry("a", version=v, seed=10 * v), entry("a", version=v, seed=10 * v + 1)] for v in (1, 2, 3)]

    def play(keys, first, last):
        with learning(shared_server.url, keys.run):
            for version in range(first, last + 1):
                head_of(redis, keys, version=version)
                push(redis, keys, "a", plan[version - 1], first=2 * version - 1)
                head_of(redis, keys, version=version + 1)

    alone, relayed = Keys(f"{keys.run}-alone"), Keys(f"{keys.run}-relayed")
    play(alone, 1, 3)
    play(relayed, 1, 2)
    play(relayed, 3, 3)
    assert redis.call("GET", alone.weights(1, 4)) == redis.call("GET", relayed.weights(1, 4))


def test_a_second_learner_is_refused(shared_server, redis, run, keys):
    with learning(shared_server.url, run):
        head_of(redis, keys, version=1)
        with pytest.raises(LeaseHeld, match=run):
            learn(shared_server.url, run, SPEC, replace(CONFIG, lease=LeaseConfig(lease_wait=0)), NEVER)


def test_another_spec_is_refused_by_name(shared_server, redis, run, keys):
    with learning(shared_server.url, run):
        head_of(redis, keys, version=1)
    other = replace(SPEC, game=GameSpec("toy", (3,), Discrete(5)))
    with pytest.raises(ConfigError, match=f"game of run {run}.*n=5.*expected.*n=2"):
        learn(shared_server.url, run, other, CONFIG, NEVER)


def test_the_goal_ends_the_learner(shared_server, redis, run, keys):
    config = replace(CONFIG, goal=Goal(max_steps=2 * ONE_PIECE))
    with learning(shared_server.url, run, config) as thread:
        push(redis, keys, "a", [entry("a"), entry("a")])
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert redis.call("EXISTS", keys.lease) == 0


def test_an_actor_waits_for_room_and_goes_on_after_the_commit(shared_server, redis, run, keys):
    connection = joined_connection(shared_server.url, run, "a")
    connection.push([fragment(seed=seed) for seed in range(4)], NEVER)
    released = threading.Event()

    def wait():
        connection.wait_for_room(NEVER)
        released.set()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    wait_until(lambda: hash_of(redis, keys.heartbeat("a")).get("state") == "waiting")
    assert not released.is_set()
    with learning(shared_server.url, run):
        assert released.wait(PATIENCE_S)
    waiting.join()
    connection.leave()


def test_redis_refuses_an_entry_that_is_sent_again_after_a_lost_reply(shared_server, redis, run, keys):
    connection, own = faulty_connection(shared_server.url, run, "a")
    own.faults += ["reply lost", "reply lost"]
    connection.push([fragment(seed=1), fragment(seed=2)], NEVER)
    connection.push([fragment(seed=3)], NEVER)
    assert redis.call("XLEN", keys.trajectories("a")) == 3
    connection.leave()


def test_a_connection_lost_while_fetching_weights_makes_the_actor_send_again(shared_server, redis, run, keys):
    """The server may have lost acknowledged entries with it, as appendfsync everysec allows."""
    redis.call("SET", keys.latest, Pointer(1, 1, "c", "d", 10).to_json())
    connection, own = faulty_connection(shared_server.url, run, "a")
    connection.push([fragment(seed=1), fragment(seed=2)], NEVER)
    redis.call("DEL", keys.trajectories("a"), keys.latest)  # as a server that came back without them
    stop = Stop()

    def fails(_, commands):
        assert commands == [("GET", keys.weights(1, 1))]
        stop.request()
        raise RedisUnreachable("the server went away")

    own.faults.append(fails)
    assert connection.policy(None, stop) is None
    connection.push([fragment(seed=3)], NEVER)
    assert redis.call("XLEN", keys.trajectories("a")) == 3
    connection.leave()


@pytest.mark.parametrize("rejection", [RedisUnreachable("LOADING"), ServerFull("OOM")])
def test_an_entry_refused_when_it_is_sent_again_is_not_taken_as_stored(shared_server, redis, run, keys, rejection):
    """A server that has just loaded its data, or found room, refuses the first of several and takes the rest."""
    connection, own = faulty_connection(shared_server.url, run, "a")
    connection.push([fragment(seed=seed) for seed in range(4)], NEVER)
    redis.call("DEL", keys.trajectories("a"))  # as a server that came back without them
    rejections = iter([rejection, rejection])

    def refusing(whole, commands):
        replies = [(command[0] == "XADD" and next(rejections, None)) or whole([command])[0] for command in commands]
        if any(isinstance(reply, RedisUnreachable) for reply in replies):
            raise rejection
        return replies

    own.faults.append("request lost")
    own.rule = lambda _: refusing
    connection.exchange(NEVER)
    assert next(rejections, None) is None
    there = [raw.decode() for raw, _ in redis.call("XRANGE", keys.trajectories("a"), "-", "+")]
    assert there == [f"{connection.incarnation}-{number}" for number in (1, 2, 3, 4)]
    connection.leave()


def test_a_second_process_under_one_name_makes_the_first_one_fail(shared_server, redis, run):
    first = joined_connection(shared_server.url, run, "a")
    second = joined_connection(shared_server.url, run, "a")
    second.push([fragment()], NEVER)
    with pytest.raises(ConfigError, match="'a' is used by another process"):
        first.push([fragment()], NEVER)


def test_a_departed_actor_leaves_the_roster_with_its_stream(shared_server, redis, run, keys):
    with learning(shared_server.url, run, STRIKING_OFF):
        connection = joined_connection(shared_server.url, run, "a")
        connection.push([fragment(), fragment()], NEVER)
        head_of(redis, keys, accepted=2)
        assert redis.call("HEXISTS", keys.roster, "a")
        connection.leave()
        wait_until(lambda: not redis.call("HEXISTS", keys.roster, "a"))
        assert not redis.call("EXISTS", keys.trajectories("a"))


def test_entries_resent_by_an_actor_that_was_struck_off_are_not_trained_on_twice(shared_server, redis, run, keys):
    """Its connection broke meanwhile, so it sends again what it sent last; its stream and group are gone by then."""
    with learning(shared_server.url, run, STRIKING_OFF):
        connection, own = faulty_connection(shared_server.url, run, "sleeper", heartbeat_s=0)
        connection.push([fragment(seed=1), fragment(seed=2)], NEVER)
        head_of(redis, keys, accepted=2)
        redis.call("DEL", keys.heartbeat("sleeper"))
        wait_until(lambda: not redis.call("HEXISTS", keys.roster, "sleeper"))
        push(redis, keys, "other", [entry("other", version=2)] * 2)
        head_of(redis, keys, accepted=4)
        own.faults.append("request lost")
        connection.push([fragment(version=3, seed=3), fragment(version=3, seed=4)], NEVER)
        head = head_of(redis, keys, accepted=6)
    assert (head["duplicate"], head["lost"]) == ("2", "0")
    connection.leave()


@pytest.mark.parametrize("kind", KINDS)
def test_a_learner_seeds_an_emptied_redis_in_a_new_epoch(kind):
    server = RealServer(kind)
    try:
        redis, keys = server.connect(), Keys("seeded")
        with learning(server.url, "seeded"):
            push(redis, keys, "a", [entry("a"), entry("a")])
            before = head_of(redis, keys, version=2)
            weights = redis.call("GET", keys.weights(1, 2))
            server.kill()
            server.start()
            redis = server.connect()
            head = head_of(redis, keys, epoch=2, version=3)
            assert redis.call("GET", keys.weights(2, 3)) == weights
            assert head["accepted"] == before["accepted"]
            # The actor goes on counting, after resending what it sent last: that was trained on, and is in the weights.
            late = [entry("a", epoch=1, version=2), entry("a", epoch=2, version=3), entry("a", epoch=2, version=3)]
            push(redis, keys, "a", [entry("a"), *late], first=2)
            head = head_of(redis, keys, version=4)
            assert [int(head[name]) for name in ("duplicate", "wrong_epoch", "lost")] == [1, 1, 0]
    finally:
        server.close()


def test_a_checkpoint_seeds_an_empty_redis(shared_server, redis, run, keys, tmp_path):
    config = replace(CONFIG, checkpointing=CheckpointConfig(tmp_path))
    with learning(shared_server.url, run, config):
        push(redis, keys, "a", [entry("a"), entry("a")])
        head_of(redis, keys, version=2)
    weights = redis.call("GET", keys.weights(1, 2))
    redis.call("DEL", *redis.call("KEYS", f"broodmind:{{{run}}}:*"))
    with learning(shared_server.url, run, config):
        assert int(head_of(redis, keys, epoch=2, version=3)["accepted"]) == 2
    assert redis.call("GET", keys.weights(2, 3)) == weights
    other = replace(SPEC, seed=99)
    redis.call("DEL", *redis.call("KEYS", f"broodmind:{{{run}}}:*"))
    with pytest.raises(ConfigError, match=r"checkpoint .*another run's spec"):
        learn(shared_server.url, run, other, config, NEVER)


def test_the_lag_in_redis_is_exact_at_every_moment(shared_server, redis, run, keys):
    """Entries added minus entries read, from the server's own figures, while a learner reads and commits."""
    with learning(shared_server.url, run):
        push(redis, keys, "a", [entry("a")])
        wait_until(lambda: lag_of(redis, keys, "a") == 0)  # before its first read a group has no count of what it read
        for first in range(2, 40, 2):
            push(redis, keys, "a", [entry("a"), entry("a")], first=first)
            raw, stream = redis.pipeline(
                [("XINFO", "GROUPS", keys.trajectories("a")), ("XINFO", "STREAM", keys.trajectories("a"))]
            )
            group = dict(zip(raw[0][::2], raw[0][1::2], strict=True))
            added = dict(zip(stream[::2], stream[1::2], strict=True))[b"entries-added"]
            assert group[b"name"] == GROUP.encode()
            assert group[b"lag"] is not None
            assert group[b"entries-read"] + group[b"lag"] <= added <= first + 1
        wait_until(lambda: lag_of(redis, keys, "a") == 0)


def test_metrics_of_an_update_are_in_the_stats_and_in_the_versions_stream(shared_server, redis, run, keys):
    with learning(shared_server.url, run):
        push(redis, keys, "a", [entry("a"), entry("a")])
        head_of(redis, keys, version=2)
        stats = hash_of(redis, keys.stats)
        ((_, fields),) = redis.call("XRANGE", keys.versions, "1-2", "1-2")
    names = {"policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "gradient_norm", "effective_rate"}
    assert names <= stats.keys()
    assert names <= {name.decode() for name in fields[::2]}
    assert np.isfinite([float(stats[name]) for name in names]).all()


def test_the_rate_that_is_shown_falls_to_nothing_where_nobody_plays(shared_server, redis, run, keys):
    def rate():
        return float(look(redis, keys).stats.get("steps_per_second", 0))

    with learning(shared_server.url, run):
        push(redis, keys, "a", [entry("a", seed=seed) for seed in range(20)])
        head_of(redis, keys, accepted=20)
        wait_until(lambda: rate() > 0)
        commits = redis.call("XLEN", keys.ledger)
        wait_until(lambda: rate() == 0)
        assert hash_of(redis, keys.stats)["steps_per_second"] == "0"
        assert redis.call("XLEN", keys.ledger) == commits


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_at_its_memory_limit_drains_and_recovers(kind):
    """Actors wait, the learner's commits go through and make room, and nothing is lost."""
    server, stop = RealServer(kind), Stop()
    try:
        redis, keys = server.connect(), Keys("full")
        config = replace(CONFIG, intake=replace(CONFIG.intake, batch_steps=ONE_PIECE))
        connection = joined_connection(server.url, "full", "a")
        connection.push([fragment(), fragment()], NEVER)
        redis.call("CONFIG", "SET", "maxmemory", "1mb")
        with pytest.raises(ServerFull):
            redis.call("SET", "probe", "x")
        pushing = threading.Thread(target=connection.push, args=([fragment()], stop), daemon=True)
        pushing.start()
        with learning(server.url, "full", config):
            head_of(redis, keys, accepted=2)
            assert pushing.is_alive()
            redis.call("CONFIG", "SET", "maxmemory", "0")
            head_of(redis, keys, accepted=3)
        pushing.join(PATIENCE_S)
        assert not pushing.is_alive()
        connection.leave()
    finally:
        stop.request()
        server.close()


def test_an_update_that_is_not_finite_is_undone_and_its_batch_rejected(shared_server, redis, run, keys):
    """The weights stay as they were, the run goes on, and the entries can be looked at."""
    spec = replace(SPEC, network=replace(SPEC.network, activation="relu"))
    vast = trajectory()
    vast = replace(vast, observations=np.full_like(vast.observations, 3e38))
    header = make_header(1, 1, vast.steps, vast.episodes, created_ms=10**12 * 2)
    bad = header.fields(encode_trajectory(vast, "a", spec))
    with learning(shared_server.url, run, spec=spec):
        push(redis, keys, "a", [bad, bad])
        head = head_of(redis, keys, non_finite=2)
        assert (head["version"], head["accepted"]) == ("1", "0")
        assert redis.call("XLEN", keys.rejected) == 2
        push(redis, keys, "a", [entry("a"), entry("a")], first=3)
        head_of(redis, keys, version=2, accepted=2)


def test_a_redis_restored_to_an_older_state_starts_a_new_epoch(shared_server, redis, run, keys):
    """Versions that were lost must not be mistaken for the ones that come to bear their numbers."""
    with learning(shared_server.url, run):
        push(redis, keys, "a", [entry("a"), entry("a")])
        head_of(redis, keys, version=2)
        older = {key: value for key, value in everything(redis, keys).items() if b"lease" not in key}
        push(redis, keys, "a", [entry("a", version=2), entry("a", version=2)], first=3)
        head_of(redis, keys, version=3)
        redis.pipeline([("RESTORE", key, 0, value, "REPLACE") for key, value in older.items()])
        push(redis, keys, "a", [entry("a", version=2), entry("a", version=2)], first=5)
        assert int(head_of(redis, keys, epoch=2, version=3)["accepted"]) == 2
        head = head_of(redis, keys, wrong_epoch=2)
    assert (head["epoch"], head["accepted"]) == ("2", "2")


def test_play_with_a_lost_version_is_rejected_although_a_new_one_has_its_number(shared_server, redis, run, keys):
    """By the learner that published it, and by its successor."""

    def played_with(commit, sequence):
        played = trajectory()
        header = make_header(2, 1, played.steps, played.episodes, 10**12 * 2, commit)
        push(redis, keys, "a", [header.fields(encode_trajectory(played, "a", SPEC))], first=sequence)

    with learning(shared_server.url, run):
        push(redis, keys, "a", [entry("a"), entry("a")])
        commit = head_of(redis, keys, version=2)["commit"]
        played_with("1057", 3)
        head_of(redis, keys, wrong_epoch=1)
    with learning(shared_server.url, run):
        played_with("1057", 4)
        head_of(redis, keys, wrong_epoch=2)
        played_with(commit, 5)
        played_with(commit, 6)
        assert int(head_of(redis, keys, accepted=4)["wrong_epoch"]) == 2


def test_an_entry_names_the_commit_of_the_version_it_was_played_with(shared_server, redis, run, keys):
    connection = joined_connection(shared_server.url, run, "a")
    low, high = Pointer(1, 2, "c0ffee", "d", 0), Pointer(1, 5, "facade", "d", 0)
    connection.push([Fragment(trajectory(), (low, low)), Fragment(trajectory(), (low, high))], NEVER)
    headers = [parse_entry(fields)[0] for _, fields in redis.call("XRANGE", keys.trajectories("a"), "-", "+")]
    assert [header.versions for header in headers] == [(2, 2), (2, 5)]
    assert [header.commits for header in headers] == [("c0ffee", "c0ffee"), ("c0ffee", "facade")]
    connection.leave()


def test_resent_entries_are_sent_again_after_the_next_lost_connection(shared_server, redis, run, keys):
    """A server that comes back without it may be long away, and be lost once more soon after."""
    clock = [0.0]
    connection, own = faulty_connection(shared_server.url, run, "a", clock=lambda: clock[-1])
    connection.push([fragment(seed=1), fragment(seed=2)], NEVER)
    for now_s in (100.0, 101.0):
        clock.append(now_s)
        redis.call("DEL", keys.trajectories("a"))  # as a server that came back without them
        own.faults.append("request lost")
        connection.push([fragment(seed=3)], NEVER)
    assert redis.call("XLEN", keys.trajectories("a")) == 4
    connection.leave()
