"""A run that version 0.1 left behind: it is shown, verified, resumed and fed as if this version had written it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from support import format_1
from support.learners import CONFIG, head_of, learning
from support.runs import NEVER, SPEC, entry, hash_of, make_header, trajectory

from broodmind.actors.transport.blocking_connection import BlockingActorConnection
from broodmind.common.errors import ConfigError
from broodmind.common.wire import codec
from broodmind.common.wire.trajectory import encode_trajectory
from broodmind.deploy.audit.verify import verify
from broodmind.deploy.cli import cli

OLD = {
    "imported": "declared",
    "off_run": "foreign",
    "rejected": "refused",
    "accept_imported": "accept_declared",
    "rejected_by_lag": "refused_by_lag",
    "rejected_by_length": "refused_by_length",
}
CAREFUL = replace(CONFIG, intake=replace(CONFIG.intake, max_staleness=0))


def as_stored_by_0_1(redis, keys):
    """Give every field of a run the name that version 0.1 gave it."""
    for key in (keys.head, keys.stats):
        fields = hash_of(redis, key)
        redis.call("DEL", key)
        redis.call("HSET", key, *(part for name, value in fields.items() for part in (OLD.get(name, name), value)))
    ledger = redis.call("XRANGE", keys.ledger, "-", "+")
    redis.call("DEL", keys.ledger)
    for entry_id, raw in ledger:
        entry = dict(zip(raw[::2], raw[1::2], strict=True))
        renamed = {OLD.get(name.decode(), name.decode()): value for name, value in entry.items()}
        renamed["refused"] = renamed["refused"].replace(b'"off_run"', b'"foreign"')
        redis.call("XADD", keys.ledger, entry_id, *(part for pair in renamed.items() for part in pair))
    state = codec.decode(redis.call("GET", keys.learner), max_bytes=1 << 30)
    state["history"] = {OLD.get(name, name): value for name, value in state["history"].items()}
    redis.call("SET", keys.learner, codec.encode(state))
    spec = json.loads(redis.call("HGET", keys.spec, "json"))
    assert spec.pop("format") == 2
    redis.call("HSET", keys.spec, "json", json.dumps(spec, sort_keys=True, separators=(",", ":")))


def imported(version=1):
    """An entry of this version's importer."""
    played = trajectory()
    header = make_header(version, 1, played.steps, played.episodes, 2 * 10**12, imported=True)
    return header.fields(encode_trajectory(played, "a", SPEC))


def of_0_1(version=1):
    """An entry of an actor that is still of version 0.1."""
    played = trajectory()
    header = make_header(version, 1, played.steps, played.episodes, 2 * 10**12)
    return format_1.entry_fields(header, format_1.encode_trajectory(played, "a"))


def push(redis, keys, entries, first):
    redis.pipeline(
        [
            ("HSET", keys.roster, "a", 7),
            ("HSET", keys.heartbeat("a"), "state", "playing"),
            *(("XADD", keys.trajectories("a"), f"7-{number}", *fields) for number, fields in enumerate(entries, first)),
        ]
    )


def shown(server, run, *command):
    result = CliRunner().invoke(cli, [*command, "--redis", server.url, "--run", run], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_run_of_version_0_1_goes_on(shared_server, redis, run, keys):
    with learning(shared_server.url, run, CAREFUL):
        push(redis, keys, [entry("a"), entry("a")], first=1)
        head_of(redis, keys, version=2)
        push(redis, keys, [entry("a", version=1), imported()], first=3)
        head_of(redis, keys, stale=1, off_run=1)
    digest = redis.call("HGET", keys.spec, "digest")
    as_stored_by_0_1(redis, keys)
    assert {"declared", "foreign"} <= hash_of(redis, keys.head).keys()

    (line,) = [line for line in shown(shared_server, run, "status").splitlines() if line.startswith("rejected")]
    assert "stale 1" in line
    assert "off_run 1" in line
    assert verify(shared_server.url, run).violations == []
    connection = BlockingActorConnection(shared_server.url, run, "b")
    with pytest.raises(ConfigError, match="run spec: format 1, expected 2: the run's learner is of another version"):
        connection.read_spec(NEVER)

    with learning(shared_server.url, run, CAREFUL):
        entries = [imported(), of_0_1(version=2), entry("a", version=2), entry("a", version=2)]
        push(redis, keys, entries, first=5)
        head = head_of(redis, keys, off_run=2, invalid=1, version=3)
    assert (head["stale"], head["imported"]) == ("1", "0")
    assert (connection.read_spec(NEVER), redis.call("HGET", keys.spec, "digest")) == (SPEC, digest)
    connection.leave()
    ((_, raw),) = redis.call("XRANGE", keys.rejected, "-", "+")
    (problem,) = [value.decode() for name, value in zip(raw[::2], raw[1::2], strict=True) if name == b"problem"]
    assert problem == "entry: format 1, expected 2: its actor is of an older version of broodmind"
    verdict = verify(shared_server.url, run)
    assert (verdict.violations, verdict.complete, verdict.metrics["off_run"]) == ([], True, 2)
    history = codec.decode(redis.call("GET", keys.learner), max_bytes=1 << 30)["history"]
    assert history["rejected_by_lag"] == [[1, 1]]

    status = json.loads(shown(shared_server, run, "status", "--json"))
    assert (status["head"]["off_run"], status["head"]["foreign"]) == ("2", "2")
    assert status["stats"]["accept_declared"] == status["stats"]["accept_imported"] == "0"
    metrics = json.loads(shown(shared_server, run, "verify", "--json"))["metrics"]
    assert metrics["off_run"] == metrics["foreign"] == 2
