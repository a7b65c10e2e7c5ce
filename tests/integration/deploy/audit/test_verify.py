"""The ledger that commits write, and `broodmind verify` on runs that were interrupted or tampered with."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
from support.runs import (
    NEVER,
    SPEC,
    broodmind,
    commit_after,
    entry,
    fragment,
    hash_of,
    joined_connection,
    last_json,
    running,
)
from support.servers import PATIENCE_S, wait_until

from broodmind.common.errors import ConfigError, VerifyFailed
from broodmind.common.server.keys import CONSUMER, GROUP, Keys
from broodmind.deploy.audit.verify import verify
from broodmind.learner.commit.commit import send
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import IntakeConfig, LearnerConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.ledger.id_ranges import merge
from broodmind.learner.ledger.ledger_entry import parse_ledger_entry
from broodmind.learner.persistence.last_known_state import LastKnownState
from broodmind.learner.session import Session


def push_and_read(redis, keys, actor, ids):
    stream = keys.trajectories(actor)
    redis.replies([("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")])
    for entry_id in ids:
        redis.call("XADD", stream, entry_id, *entry(actor))
    redis.call("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", 100, "STREAMS", stream, ">")


def ledger_of(redis, keys):
    return [parse_ledger_entry(*raw) for raw in redis.call("XRANGE", keys.ledger, "-", "+")]


@pytest.mark.parametrize(
    "ids",
    [
        [(7, 1)],
        [(7, 1), (7, 2), (7, 3)],
        [(7, 1), (7, 3), (7, 4), (7, 5), (7, 9)],
        [(7, 5), (8, 1), (8, 2), (9, 3)],
        [(7, 2**53 - 1), (7, 2**53 + 1)],  # two apart, and one apart in Lua's numbers
        [(2**63, 2**64 - 3), (2**63, 2**64 - 2)],
        [(7, n) for n in range(1, 60) if n % 7],
    ],
)
def test_the_ledger_names_the_ids_that_the_server_found_pending(redis, keys, lease, ids):
    first = commit_after(Head())
    send(redis, keys, lease, first)
    push_and_read(redis, keys, "a", [f"{left}-{right}" for left, right in ids])
    push_and_read(redis, keys, "b", ["1-1"])
    consumed = {"a": (ids[-1], len(ids)), "b": ((1, 1), 1)}
    commit = commit_after(first.head, publish=False, consumed=consumed)
    commit = replace(commit, rejected_ids={"stale": {"b": "1-1"}}, gaps={"a": "7-1"})
    send(redis, keys, lease, commit)
    send(redis, keys, lease, commit)  # sent twice, written once
    opening, noted = ledger_of(redis, keys)
    assert (opening.commit, opening.parent, opening.published, opening.consumed) == (first.head.commit, "", True, {})
    found = [(r.incarnation, n) for r in noted.consumed["a"] for n in range(r.first, r.last + 1)]
    assert found == ids
    assert noted.consumed["b"] == merge([(1, 1)])
    assert (noted.commit, noted.parent, noted.published) == (commit.head.commit, first.head.commit, False)
    assert (noted.epoch, noted.version, noted.token) == (1, 1, lease.token)
    assert (noted.rejected, noted.gaps) == ({"stale": {"b": merge([(1, 1)])}}, {"a": merge([(7, 1)])})
    assert noted.counters.games == commit.counters["games"]


def test_the_ledger_is_bounded(redis, keys, lease):
    head = Head()
    for _ in range(330):
        commit = commit_after(head)
        send(redis, keys, lease, commit, ledger_kept=100)
        head = commit.head
    assert 100 <= redis.call("XLEN", keys.ledger) <= 200  # the server trims by whole nodes of 100


def head_of(redis, run):
    return {name: int(value) for name, value in hash_of(redis, Keys(run).head).items() if value.isdigit()}


def verified(*common):
    process = broodmind("verify", *common, "--json")
    printed, shown = process.communicate(timeout=PATIENCE_S)
    return process.returncode, last_json(printed), shown


def test_a_standby_takes_over_from_a_killed_learner_and_nothing_is_lost(shared_server, redis, run, tmp_path):
    common = ("--redis", shared_server.url, "--run", run)
    training = ("--batch-steps", "256", "--lease-ttl", "3")
    actors = running("actors", *common, "--actors", "2", "--envs", "4", "--name", "a", "--journal", str(tmp_path))
    with actors, running("learner", *common, *training) as first:
        wait_until(lambda: head_of(redis, run).get("version", 0) > 20)
        with running("learner", *common, *training, "--standby") as standby:
            first.send_signal(signal.SIGKILL)
            first.wait()
            killed_at = head_of(redis, run)["version"]
            wait_until(lambda: head_of(redis, run)["version"] > killed_at + 20)
            code, live, shown = verified(*common, "--journal", str(tmp_path))
            assert (code, live["violations"]) == (0, []), shown
            assert live["complete"]
            assert live["metrics"]["acknowledged_consumed"] > 20
    assert standby.returncode == 0
    code, ended, shown = verified(*common, "--journal", str(tmp_path))
    assert (code, ended["violations"]) == (0, []), shown
    metrics = ended["metrics"]
    assert (ended["figures"], ended["deprecated_keys"]) == (metrics, ["figures"])
    assert metrics["acknowledged"] == metrics["acknowledged_consumed"] + metrics["acknowledged_waiting"]
    assert metrics["accepted"] == head_of(redis, run)["accepted"]


def test_a_standby_that_is_told_to_stop_ends_at_once_with_exit_code_0(shared_server, redis, run):
    redis.call("SET", Keys(run).lease, "1-somebody")
    standby = broodmind("learner", "--redis", shared_server.url, "--run", run, "--standby")
    line = standby.stderr.readline()
    assert "standing by" in line
    assert "holder=1-somebody" in line
    standby.send_signal(signal.SIGTERM)
    _, shown = standby.communicate(timeout=PATIENCE_S)
    assert standby.returncode == 0, shown
    assert redis.call("GET", Keys(run).lease) == b"1-somebody"


@pytest.fixture
def played(shared_server, redis, run, keys, tmp_path):
    """A run with three commits and one entry on its way, and its actor's journal."""
    config = LearnerConfig(intake=IntakeConfig(batch_steps=SPEC.rollout.fragment_length * 2))
    connection = joined_connection(shared_server.url, run, "a", journals=tmp_path)
    session = Session(shared_server.url, run, SPEC, config, Lease(keys, 60_000), LastKnownState())
    assert session.open(NEVER)
    for accepted in (1, 2):
        connection.push([fragment(version=1)], NEVER)
        wait_until(lambda floor=accepted: session.step() or head_of(redis, run)["accepted"] == floor)
    session.close()
    connection.push([fragment(version=2)], NEVER)
    connection.leave()
    return tmp_path


def test_verify_finds_nothing_in_a_correct_run(shared_server, run, played):
    verdict = verify(shared_server.url, run, played)
    assert verdict.violations == []
    assert verdict.metrics.items() >= {"commits": 3, "acknowledged_consumed": 2, "acknowledged_waiting": 1}.items()
    assert verify(shared_server.url, run).violations == []


@pytest.mark.parametrize(
    ("tamper", "kind"),
    [
        (lambda r, k: r.call("HINCRBY", k.head, "games", 1), "head"),
        (lambda r, k: r.call("HSET", k.head, "commit", "c"), "head"),
        (lambda r, k: r.call("SET", k.weights(1, 3), b"torn"), "digest"),
        (lambda r, k: r.call("DEL", k.weights(1, 3)), "digest"),
        (lambda r, k: r.call("DEL", k.latest), "pointer"),
        (lambda r, k: r.call("DEL", k.ledger), "head"),
        (lambda r, k: r.call("XTRIM", k.trajectories("a"), "MAXLEN", 0), "lost"),
        (lambda r, k: r.call("XTRIM", k.trajectories("a"), "MAXLEN", 0), "stream"),
        (lambda r, k: r.call("XDEL", k.ledger, r.call("XRANGE", k.ledger, "-", "+")[1][0]), "chain"),
    ],
)
def test_verify_finds_what_was_tampered_with(shared_server, redis, run, keys, played, tamper, kind):
    tamper(redis, keys)
    assert kind in {violation.kind for violation in verify(shared_server.url, run, played).violations}


def test_verify_finds_a_pending_entry_that_is_missing_from_its_stream(shared_server, redis, run, keys, played):
    stream = keys.trajectories("a")
    ((_, ((entry_id, _),)),) = redis.call("XREADGROUP", "GROUP", GROUP, CONSUMER, "STREAMS", stream, ">")
    redis.call("XDEL", stream, entry_id)
    assert {"stream", "twice"} & {violation.kind for violation in verify(shared_server.url, run, played).violations}


def test_verify_ends_with_a_code_of_its_own_and_says_what_is_wrong(shared_server, redis, run, keys, played):
    common = ("--redis", shared_server.url, "--run", run)
    shown, _ = broodmind("verify", *common, "--journal", str(played)).communicate(timeout=PATIENCE_S)
    assert "since its beginning: commits 3" in shown
    assert "acknowledged 3   consumed 2   waiting 1   lost 0" in shown
    assert shown.endswith("nothing lost, nothing counted twice\n")
    redis.call("XTRIM", keys.trajectories("a"), "MAXLEN", 0)
    process = broodmind("verify", *common, "--journal", str(played))
    shown, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == VerifyFailed.exit_code == 12
    assert "LOST     acknowledged, and nowhere to be found   actor a" in shown
    assert "2 violations, expected none" in error


def test_an_unknown_run_or_folder_is_refused_by_name(shared_server, run, tmp_path):
    with pytest.raises(ConfigError, match=run):
        verify(shared_server.url, run)
    process = broodmind("verify", "--redis", shared_server.url, "--journal", str(tmp_path / "absent"))
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == ConfigError.exit_code
    assert "absent" in shown
