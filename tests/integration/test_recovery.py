"""What a learner goes on from when Redis, its own files, or its actors come back other than they were."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from support.faulty_server import FaultyServer
from support.learners import CONFIG, STRIKING_OFF, counters, head_of, learning
from support.proxy import Proxy
from support.runs import NEVER, SPEC, commit_after, entry, everything, fragment, hash_of, joined_connection, trajectory
from support.servers import KINDS, RealServer, wait_until

from broodmind.common.errors import ConfigError, LineageLost, RedisUnreachable
from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import GROUP, Keys
from broodmind.common.server.streams import Server
from broodmind.common.wire import codec
from broodmind.deploy.audit.verify import verify
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.commit import commit
from broodmind.learner.commit.commit import send
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import CheckpointConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.loop import learn
from broodmind.learner.persistence.checkpoints import Checkpoints, read_checkpoint
from broodmind.learner.persistence.last_known_state import LastKnownState
from broodmind.learner.persistence.run_snapshot import load_snapshot


@pytest.fixture(params=KINDS)
def server(request):
    """A server of the test's own, to be stopped and started; without a file, it comes back empty."""
    server = RealServer(request.param)
    yield server
    server.close()


def push(redis, keys, count, *, first=1, version=1, epoch=1):
    numbers = range(first, first + count)
    entries = [entry("a", version=version, epoch=epoch, seed=number) for number in numbers]
    adds = [("XADD", keys.trajectories("a"), f"7-{n}", *fields) for n, fields in zip(numbers, entries, strict=True)]
    beat = ("HSET", keys.heartbeat("a"), "state", "playing")
    redis.pipeline([beat, *adds])  # at once, so that no batch goes short


def wipe(redis, keys):
    redis.call("DEL", *redis.call("KEYS", f"broodmind:{{{keys.run}}}:*"))


# -- actors that come back


def test_entries_resent_by_an_actor_that_was_struck_off_and_rejoined_are_counted_once(shared_server, redis, run, keys):
    """Its stream is gone, so Redis refuses nothing; a break that it noticed late makes it send all of it again."""
    own = FaultyServer(shared_server.url)
    with learning(shared_server.url, run, STRIKING_OFF):
        # However long it takes, what it sent was sent just now.
        connection = joined_connection(shared_server.url, run, "a", server=own, heartbeat_s=0, clock=lambda: 0.0)
        connection.push([fragment(seed=1), fragment(seed=2)], NEVER)
        head_of(redis, keys, accepted=2)
        redis.call("DEL", keys.heartbeat("a"))  # as after ten seconds of silence
        wait_until(lambda: not redis.call("HEXISTS", keys.roster, "a"))
        own.faults.append("request lost")
        connection.push([fragment(version=2, seed=3), fragment(version=2, seed=4)], NEVER)
        head = head_of(redis, keys, accepted=4)
        connection.leave()
    assert (head["duplicate"], head["lost"]) == ("2", "0")


# -- a Redis that comes back


def test_a_new_learner_on_a_restarted_redis_opens_an_epoch(server):
    """It cannot know whether the newest versions are gone, and actors may hold them."""
    server.options |= {"appendonly": "yes", "appendfsync": "always"}
    server.kill()
    server.start()
    keys = Keys("back")
    with learning(server.url, "back"):
        head_of(server.connect(), keys, version=1)
    with learning(server.url, "back"):
        push(server.connect(), keys, 2)
        head_of(server.connect(), keys, version=2, epoch=1)  # the same server process lost nothing
        server.kill()
        server.start()
        push(server.connect(), keys, 2, first=3, version=2)
        head_of(server.connect(), keys, version=3, epoch=1)  # and this learner knows that nothing newer was lost
    server.kill()
    server.start()
    with learning(server.url, "back"):
        head_of(server.connect(), keys, version=4, epoch=2)
        push(server.connect(), keys, 2, first=5, version=3)
        assert int(head_of(server.connect(), keys, wrong_epoch=2)["accepted"]) == 4


def test_a_learner_that_only_loaded_seeds_an_emptied_redis_with_what_it_loaded(server):
    keys = Keys("loaded")
    with learning(server.url, "loaded"):
        push(server.connect(), keys, 2)
        head_of(server.connect(), keys, version=2)
    with learning(server.url, "loaded"):
        push(server.connect(), keys, 1, first=3, version=2)  # too little for an update
        wait_until(
            lambda: server.connect().call("XPENDING", keys.trajectories("a"), GROUP)[0]
        )  # it reads: it has loaded
        server.kill()
        server.start()
        assert int(head_of(server.connect(), keys, epoch=2, version=3)["accepted"]) == 2


@pytest.mark.parametrize("nameless", [False, True])
def test_a_learner_waits_out_an_outage_between_taking_the_lease_and_loading_the_run(
    shared_server, redis, run, keys, nameless
):
    """On a server too that does not say which process it is."""

    def rule(command):
        writes = command[0] == b"HSET" and keys.spec.encode() in command
        return "lose the reply" if writes and not proxy.faults else None

    with Proxy(shared_server.port) as proxy:
        proxy.rule = rule
        if nameless:
            proxy.rewrite = lambda replies: replies.replace(b"run_id:", b"______:")
        with learning(proxy.url, run):
            assert (head := head_of(redis, keys, version=1))["epoch"] == "1"
    assert bool(head["server"]) != nameless
    assert proxy.faults == 1


def test_a_commit_without_a_reply_survives_the_loss_of_the_redis_that_executed_it(server, monkeypatch):
    """Its reply was lost, and then Redis came back empty: the entries it trained on are nowhere else."""
    keys = Keys("doubt")
    sha = commit.COMMIT_SCRIPT.sha.encode()

    def rule(command):
        if command[0] != b"EVALSHA" or command[1] != sha or counters(of_the_rule, keys)["version"] < 2:
            return None
        proxy.refusing = True
        return "lose the reply"

    of_the_rule = server.connect()  # in the proxy's thread, while the test's own thread uses another
    with Proxy(server.port) as proxy, learning(proxy.url, "doubt"):
        direct = server.connect()
        push(direct, keys, 2)
        head_of(direct, keys, version=2)
        proxy.rule = rule
        push(direct, keys, 2, first=3, version=2)
        wait_until(lambda: proxy.faults)
        weights = direct.call("GET", keys.weights(1, 3))
        server.kill()
        server.start()
        proxy.rule, proxy.refusing = None, False
        head = head_of(server.connect(), keys, epoch=2, version=4)
        assert head["accepted"] == "4"
        assert server.connect().call("GET", keys.weights(2, 4)) == weights
        push(server.connect(), keys, 4, version=4, epoch=2)  # all that was ever sent, once more
        assert head_of(server.connect(), keys, duplicate=4)["accepted"] == "4"


def stored(epoch, version, commit_id):
    return type("RunSnapshot", (), {"head": Head(epoch, version, commit_id)})()


@pytest.mark.parametrize(
    ("head", "same_server", "lost"),
    [
        (Head(1, 5, "sent"), False, False),  # the newest there is
        (Head(1, 4, "settled"), True, False),  # what was sent did not go through
        (Head(1, 4, "settled"), False, True),  # or it did, and was seen, and was lost
        (Head(1, 4, "other"), True, True),
        (Head(1, 3, "older"), True, True),
        (Head(1, 9, "overtaken"), True, False),  # another learner went on from ours
        (Head(1, 9, "overtaken"), False, True),  # or from something older
    ],
)
def test_possible_loss_is_detected_by_commit_id_and_server_id(head, same_server, lost):
    known = LastKnownState(stored(1, 4, "settled"), stored(1, 5, "sent"))
    assert known.may_have_lost(head, same_server=same_server) is lost
    assert LastKnownState().may_have_lost(head, same_server=same_server) is not same_server
    assert known.next_epoch(Head(3, 1, "")) == 4
    assert known.next_epoch() == 2


def test_actors_and_learner_wait_for_a_server_that_takes_writes_again(server):
    """As one does that was made a replica, or that lost the replicas it must have."""
    redis, keys = server.connect(), Keys("replica")
    with learning(server.url, "replica"):
        connection = joined_connection(server.url, "replica", "a")
        connection.push([fragment(seed=1), fragment(seed=2)], NEVER)
        head_of(redis, keys, version=2)
        redis.call("CONFIG", "SET", "min-replicas-to-write", 1)
        with pytest.raises(RedisUnreachable, match=r"NOREPLICAS .*expected a server that accepts writes"):
            Server(server.url).call("SET", "probe", "x")
        stop = Stop()
        stop.request()  # else it would wait
        with pytest.raises(RedisUnreachable):
            connection.push([fragment(version=2, seed=3), fragment(version=2, seed=4)], stop)
        redis.call("CONFIG", "SET", "min-replicas-to-write", 0)
        connection.exchange(NEVER)
        head_of(redis, keys, version=3, accepted=4)
        connection.leave()
    redis.close()


def test_a_deleted_stream_makes_the_learner_reload_the_run(redis, keys):
    lease = Lease(keys, 60_000)
    lease.acquire(redis, NEVER, 0)
    first = commit_after(Head())
    send(redis, keys, lease, first)
    with pytest.raises(LineageLost, match="NOGROUP"):
        send(redis, keys, lease, commit_after(first.head, consumed={"gone": ((7, 1), 1)}))


# -- checkpoints


def checkpointed(server, run, keys, folder, versions):
    """A run of so many versions, a checkpoint each."""
    config = replace(CONFIG, checkpointing=CheckpointConfig(folder, 0.0))
    redis = server.connect()
    with learning(server.url, run, config):
        for version in range(1, versions):
            push(redis, keys, 2, first=2 * version - 1, version=version)
            head_of(redis, keys, version=version + 1)
    return config


def test_the_last_checkpoints_are_kept_and_partial_files_deleted(shared_server, redis, run, keys, tmp_path):
    (tmp_path / ".checkpoint-0001-000000001.msgpack.77.part").write_bytes(b"half")
    checkpointed(shared_server, run, keys, tmp_path, 6)
    found = [read_checkpoint(path)[0].head for path in sorted(tmp_path.iterdir())]
    assert [head.version for head in found] == [4, 5, 6]
    assert found[-1].commit == hash_of(redis, keys.head)["commit"]


def spoil_by_cutting(content):
    return content[: len(content) // 2]


def spoil_by_a_bit(content):
    at = len(content) - 100  # within the weights
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


def spoil_by_emptying(_content):
    return b""


@pytest.mark.parametrize("spoil", [spoil_by_cutting, spoil_by_a_bit, spoil_by_emptying])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    shared_server, redis, run, keys, tmp_path, caplog, spoil
):
    config = checkpointed(shared_server, run, keys, tmp_path, 4)
    *_, before, newest = sorted(tmp_path.iterdir())
    weights = redis.call("GET", keys.weights(1, 3))
    newest.write_bytes(spoil(newest.read_bytes()))
    wipe(redis, keys)
    with caplog.at_level(logging.WARNING), learning(shared_server.url, run, config):
        head = head_of(redis, keys, epoch=2, version=4)
    assert (read_checkpoint(before)[0].head.version, head["accepted"]) == (3, "4")
    assert redis.call("GET", keys.weights(2, 4)) == weights
    assert any(str(newest) in record.getMessage() for record in caplog.records)


def test_a_run_does_not_start_over_if_all_its_checkpoints_are_damaged(shared_server, redis, run, keys, tmp_path):
    config = checkpointed(shared_server, run, keys, tmp_path, 3)
    for path in tmp_path.iterdir():
        path.write_bytes(b"\x00")
    wipe(redis, keys)
    with pytest.raises(ConfigError, match=r"checkpoint .*expected a file written by a broodmind learner"):
        learn(shared_server.url, run, SPEC, config, NEVER)
    assert not redis.call("EXISTS", keys.head)


def test_a_new_epoch_is_written_to_a_checkpoint_at_once(shared_server, redis, run, keys, tmp_path):
    """Or a learner that seeds from an older checkpoint would give another epoch the same number."""

    def epoch_of_newest():
        stored = Checkpoints(tmp_path).newest(SPEC)
        return stored and stored.head.epoch

    config = replace(CONFIG, checkpointing=CheckpointConfig(tmp_path, 1e9))
    for epoch in (1, 2, 3):
        with learning(shared_server.url, run, config):
            head_of(redis, keys, epoch=epoch)
            assert wait_until(lambda wanted=epoch: epoch_of_newest() == wanted)
        wipe(redis, keys)


def test_a_full_disk_does_not_end_a_run(shared_server, redis, run, keys, tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("broodmind.learner.persistence.checkpoints.write_durably", full)
    checkpointed(shared_server, run, keys, tmp_path, 3)
    assert counters(redis, keys)["version"] == 3
    assert "No space left" in caplog.text
    assert everything(redis, keys)


# -- moments that bad numbers have ruined

NORMALISED = replace(SPEC, network=replace(SPEC.network, normalize_observations=True))
WITH_POPART = replace(CONFIG, algorithm=PPOConfig(popart=0.1))
RESETTING = replace(WITH_POPART, checkpointing=CheckpointConfig(reset_moments=True))


def moments_in(redis, keys):
    """What the learner's state has of the rows and of the targets that were seen: how many rows, and what weight."""
    state = load_snapshot(redis, keys).trainer_state()
    return (
        codec.take_array(state["normaliser"], "count", ("<f8",), (1,))[0],
        codec.take_array(state["algorithm"], "weight", ("<f8",), (1,))[0],
    )


def push_normalised(redis, keys, count, first, version, epoch=1):
    numbers = range(first, first + count)
    entries = [entry("a", version=version, epoch=epoch, seed=number, spec=NORMALISED) for number in numbers]
    adds = [("XADD", keys.trajectories("a"), f"7-{n}", *fields) for n, fields in zip(numbers, entries, strict=True)]
    redis.pipeline([("HSET", keys.heartbeat("a"), "state", "playing"), *adds])


def with_some_moments(url, run, redis, keys):
    """A run of three versions that has stopped; the moments are of four entries."""
    with learning(url, run, WITH_POPART, NORMALISED):
        for version in (1, 2):
            push_normalised(redis, keys, 2, 2 * version - 1, version)
            head_of(redis, keys, version=version + 1)
    rows, weight = moments_in(redis, keys)
    assert rows == 4 * trajectory().steps
    assert weight == pytest.approx(1 - 0.9**2)


def test_a_reset_of_the_moments_is_a_commit_of_its_own_that_publishes_nothing(shared_server, redis, run, keys):
    with_some_moments(shared_server.url, run, redis, keys)
    before, weights = hash_of(redis, keys.head), redis.call("GET", keys.weights(1, 3))
    with learning(shared_server.url, run, RESETTING, NORMALISED):
        wait_until(lambda: hash_of(redis, keys.head)["commit"] != before["commit"])
    after = hash_of(redis, keys.head)
    assert {name for name in after if after[name] != before[name]} == {"commit", "parent"}
    assert redis.call("GET", keys.weights(1, 3)) == weights
    rows, weight = moments_in(redis, keys)
    assert 0 < rows < 1e-9
    assert weight == 0
    assert verify(shared_server.url, run).violations == []


def test_after_a_reset_the_next_batch_gives_the_moments_and_a_start_without_it_keeps_them(
    shared_server, redis, run, keys
):
    with_some_moments(shared_server.url, run, redis, keys)
    push_normalised(redis, keys, 2, 5, version=3)  # it waits, and is trained on after the reset
    with learning(shared_server.url, run, RESETTING, NORMALISED):
        head_of(redis, keys, version=4)
    assert moments_in(redis, keys) == (2 * trajectory().steps, pytest.approx(0.1))
    push_normalised(redis, keys, 2, 7, version=4)
    with learning(shared_server.url, run, WITH_POPART, NORMALISED):
        head = head_of(redis, keys, version=5)
    assert moments_in(redis, keys) == (4 * trajectory().steps, pytest.approx(1 - 0.9**2))
    assert (head["accepted"], head["duplicate"], head["lost"]) == ("8", "0", "0")
    assert verify(shared_server.url, run).violations == []


def test_a_reset_is_made_once_although_the_connection_breaks(server):
    keys = Keys("reset")
    with_some_moments(server.url, "reset", server.connect(), keys)
    with learning(server.url, "reset", RESETTING, NORMALISED):
        wait_until(lambda: moments_in(server.connect(), keys)[1] == 0)
        push_normalised(server.connect(), keys, 2, 5, version=3)
        head_of(server.connect(), keys, version=4)
        server.kill()
        server.start()  # empty: the learner's next session fills it from its memory
        head_of(server.connect(), keys, version=5, epoch=2)
        assert moments_in(server.connect(), keys) == (2 * trajectory().steps, pytest.approx(0.1))
