"""The rights that `broodmind acl` gives: enough for a whole run, and nothing beyond what is listed here."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import replace

import pytest
from support.runs import SPEC, broodmind, commit_after, entry, everything, hash_of, last_json, running
from support.servers import KINDS, PATIENCE_S, RealServer, wait_until

from broodmind.actors.transport.delivery import Delivery
from broodmind.actors.transport.heartbeat import ActorStatus
from broodmind.actors.transport.stored_versions import CHUNK_BYTES
from broodmind.actors.transport.stream_connection import ActorConnection
from broodmind.common.errors import BroodmindError, WireError
from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import GROUP, Keys
from broodmind.common.server.streams import Server
from broodmind.common.spec import NetworkSpec
from broodmind.common.wire.weights import Pointer
from broodmind.learner.commit.commit import send
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import IntakeConfig
from broodmind.learner.flow.flow import Flow
from broodmind.learner.ingest.fenced_read import FencedReads
from broodmind.learner.ingest.stream_reader import StreamReader
from broodmind.learner.ledger.head import Head

RUN, ACTORS, OTHER_RUN = "zerg", ("box1", "box2"), "carts"
KEYS = Keys(RUN)
ADMIN = "user admin on >admin ~* &* +@all\n"  # of the tests, and of whoever runs a server

# Who may (a: an actor, l: the learner, m: the monitor, v: the auditor, who verifies, e: the evaluator), and what. `own`
# and `other` are actors, of which the actor at hand is the first.
MATRIX = """
    a l - - -  XADD {trajectories}own 9-1 v 1
    a l - - -  XADD {trajectories}own-007 9-1 v 1
    - l - - -  XADD {trajectories}other 9-1 v 1
    - l - - -  XADD {trajectories}other-007 9-1 v 1
    - l - - -  XADD {trajectories}own-1000 9-1 v 1
    - l - - -  XADD {trajectories}own2 9-1 v 1
    - l - - -  XADD {trajectories}other MAXLEN 0 * v 1
    - l - - -  XADD {trajectories}other 18446744073709551615-18446744073709551615 v 1
    - l - - -  XADD {P}versions * v 1
    - l - - -  XADD {P}rejected * v 1
    a l m - -  XLEN {trajectories}own
    - l m - -  XLEN {trajectories}other
    - l m - -  XLEN {P}versions
    - - - v -  XRANGE {trajectories}own - +
    - - - v -  XRANGE {trajectories}other - +
    - - - - -  XREVRANGE {trajectories}own + -
    - - - - -  XREAD STREAMS {trajectories}own 0
    - - - - -  XREAD STREAMS {trajectories}other 0
    - - - - -  XREAD STREAMS {P}versions {trajectories}own 0 0
    - l - - -  XREADGROUP GROUP learner mind STREAMS {trajectories}own >
    - l - - -  XREADGROUP GROUP learner mind STREAMS {trajectories}other >
    - l - - -  XGROUP CREATE {trajectories}own g 0
    - - - - -  XGROUP DESTROY {trajectories}own learner
    - - - - -  XGROUP SETID {trajectories}other learner $
    - l - - -  XACK {trajectories}own learner 1-1
    - l - - -  XDEL {trajectories}own 1-1
    - l - - -  XDEL {trajectories}other 1-1
    - - - - -  XTRIM {trajectories}own MAXLEN 0
    - - - - -  XTRIM {trajectories}other MAXLEN 0
    - - - - -  XSETID {trajectories}other 9-9
    - l - - -  XCLAIM {trajectories}other learner thief 0 1-1
    - - - - -  XAUTOCLAIM {trajectories}other learner thief 0 0
    - l m v -  XPENDING {trajectories}other learner
    - - m v -  XINFO GROUPS {trajectories}other
    - - m - -  XINFO CONSUMERS {trajectories}other learner
    - - - v -  XINFO STREAM {trajectories}own
    - - - v -  XINFO STREAM {trajectories}other FULL
    a - m - -  XREAD COUNT 1 STREAMS {P}versions 0
    - - m v -  XRANGE {P}versions - +
    - - m v -  XRANGE {P}ledger - +
    - l - - -  XADD {P}ledger * v 1
    - - - - -  XTRIM {P}ledger MAXLEN 0
    - - m - -  XREVRANGE {P}rejected + - COUNT 1
    a l - - -  HSET {actors}own state playing
    a l - - -  HSET {actors}own-007 state playing
    - l - - -  HSET {actors}other state playing
    a l - - -  PEXPIRE {actors}own 10000
    - l - - -  PEXPIRE {actors}other 10000
    a l - - -  DEL {actors}own
    - l - - -  DEL {actors}other
    - l - - -  DEL {actors}own {actors}other
    - l - - -  DEL {trajectories}own
    - l - - -  DEL {trajectories}other
    - l - - -  DEL {P}head
    - l m v -  HGETALL {actors}other
    - l m v -  HGETALL {actors}own
    - - m - -  HLEN {actors}own
    - l m - -  MEMORY USAGE {actors}own
    - l - - -  HSTRLEN {actors}own state
    a l - - -  SET {incarnation}own 9 GET
    a l - - -  SET {incarnation}own-007 9
    a l - v -  GETRANGE {incarnation}own 0 63
    a l - - -  SET {P}offer:own x PX 9
    - l - - -  SET {P}offer:other x
    - l - v -  GETRANGE {P}offer:own 0 9
    - l - - -  SET {incarnation}other 9
    - l - - -  SET {incarnation}own2 9
    - l - v -  GETRANGE {incarnation}other 0 63
    - l - - -  DEL {incarnation}own
    - l - - -  DEL {incarnation}other
    - l - - -  HSET {P}roster own 1
    - l m - -  HGET {P}roster own
    - - m v -  HKEYS {P}roster
    - l - - -  HDEL {P}roster other
    - l - - -  DEL {P}roster
    a l m - e  HGET {P}spec json
    - l - - -  HSET {P}spec json x
    - l m v e  HGETALL {P}head
    - l - - -  HSET {P}head version 99
    - l m v e  HGETALL {P}stats
    - l - - -  HSET {P}stats version 99
    a l m v -  GET {P}latest
    - l - - -  SET {P}latest x
    a l m v -  GET {P}demand
    a l m v -  GET {P}evaluation
    a l m v -  GETRANGE {P}candidate 0 9
    a l m v -  GETRANGE {P}best 0 9
    - l - - -  SET {P}evaluation x
    - - - - -  COPY {P}candidate {P}best REPLACE
    - l - - -  SET {P}demand x
    a l m v e  GET {P}weights:1-1
    a l m v -  GETRANGE {P}weights:1-1 0 9
    - l - - -  SET {P}weights:1-1 x
    - l - - -  DEL {P}weights:1-1
    - l - - -  UNLINK {P}weights:1-1
    - l - - -  RENAME {P}weights:1-1 {P}weights:1-2
    - - - - -  SETRANGE {P}weights:1-1 0 x
    - - - - -  APPEND {P}weights:1-1 x
    - l - v e  GET {P}learner
    - l - - -  SET {P}learner x
    - l - v -  GETRANGE {P}learner 0 9
    - l - - -  STRLEN {P}learner
    - l m v -  GET {P}lease
    - - m - -  PTTL {P}lease
    - l - - -  SET {P}lease x
    - l - - -  DEL {P}lease
    - l - - -  PEXPIRE {P}lease 1
    - l - - -  PERSIST {P}lease
    - l - - -  INCR {P}fence
    - l - - -  WATCH {P}fence
    - l - v -  EXISTS {P}lease
    - l - v -  EVAL return 0
    - l - - -  EVALSHA 0123456789012345678901234567890123456789 0
    - - - - -  EVAL_RO return 0
    - - - - -  SCRIPT LOAD return
    - - - - -  SCRIPT FLUSH
    - - - - -  SCRIPT KILL
    - - - - -  FUNCTION LIST
    - - - - -  FUNCTION FLUSH
    - - - - -  FCALL f 0
    a l m v e  PING
    a l m v e  HELLO 2
    - l m - -  INFO
    - - - - -  GET broodmind:{{carts}}:latest
    - - - - -  HGETALL broodmind:{{carts}}:head
    - - - - -  HSET broodmind:{{carts}}:roster own 1
    - - - - -  XADD broodmind:{{carts}}:trajectories:own 1-1 v 1
    - - - - -  SET elsewhere x
    - - - - -  GET elsewhere
    - - - - -  FLUSHALL
    - - - - -  FLUSHDB
    - - - - -  SWAPDB 0 1
    - - - - -  SELECT 1
    - - - - -  KEYS *
    - l - - -  SCAN 0
    - - - - -  RANDOMKEY
    - - - - -  DBSIZE
    - - - - -  TYPE {trajectories}own
    - - - - -  DUMP {trajectories}other
    - - - - -  RESTORE {P}latest 0 x REPLACE
    - - - - -  COPY {trajectories}other {trajectories}own
    - - - - -  MOVE {P}head 1
    - - - - -  MIGRATE 127.0.0.1 1 {P}head 0 10
    - - - - -  SORT {P}roster
    - - - - -  OBJECT ENCODING {P}head
    - l - - -  MEMORY USAGE {P}head
    - - - - -  MEMORY DOCTOR
    - - - - -  EXPIRE {P}head 1
    - - - - -  HINCRBY {P}head version 1
    - l - - -  HSCAN {P}roster 0
    - - - - -  HLEN {P}roster
    - - - - -  GETDEL {P}latest
    - - - - -  LPUSH {P}list x
    - l - v e  MULTI
    - l - v e  EXEC
    - l - - -  WATCH {P}head
    - - - - -  CONFIG GET *
    - - - - -  CONFIG SET maxmemory 1
    - - - - -  CONFIG REWRITE
    - - - - -  ACL LIST
    - - - - -  ACL WHOAMI
    - - - - -  ACL SETUSER own ~*
    - - - - -  CLIENT LIST
    - - - - -  CLIENT KILL TYPE normal
    - - - - -  CLIENT PAUSE 1000
    - - - - -  CLIENT TRACKING on
    - - - - -  CLIENT NO-EVICT on
    - - - - -  MONITOR
    - - - - -  SUBSCRIBE c
    - - - - -  PSUBSCRIBE *
    - - - - -  PUBLISH c x
    - - - - -  SHUTDOWN NOSAVE
    - - - - -  SAVE
    - - - - -  BGSAVE
    - - - - -  BGREWRITEAOF
    - - - - -  REPLICAOF NO ONE
    - - - - -  FAILOVER
    - - - - -  ROLE
    - - - - -  SLOWLOG GET
    - - - - -  LATENCY LATEST
    - - - - -  MODULE LIST
    - - - - -  CLUSTER INFO
    - - - - -  COMMAND COUNT
    a l - - -  TIME
    - - - - -  WAIT 0 0"""


@pytest.fixture(params=KINDS)
def guarded(request, tmp_path):
    """A server with the users of a run, by the file that was made for it; and their URLs."""
    with closing(RealServer(request.param)) as unguarded:
        options = ("--redis", unguarded.url, "--run", RUN, "--actors", ",".join(ACTORS))
        printed, _ = broodmind("acl", *options, "--json").communicate(timeout=PATIENCE_S)
    made = last_json(printed)
    file = tmp_path / "users.acl"
    file.write_text(made["acl"] + ADMIN)
    with closing(RealServer(request.param, aclfile=str(file))) as server:
        server.url = server.url.replace("//", "//admin:admin@")
        yield server, {user: with_user(server.url, user, word) for user, word in made["passwords"].items()}


def with_user(url, user, password):
    return url.replace("admin:admin@", f"{user}:{password}@")


def rejections(admin):
    """What the server refused, by its own log."""
    log = [dict(zip(each[::2], each[1::2], strict=True)) for each in admin.call("ACL", "LOG")]
    return [(each[b"username"], each[b"reason"], each[b"object"], each[b"client-info"]) for each in log]


def test_a_whole_run_works_with_the_rights_of_the_acl_file(guarded, tmp_path):
    """Learner, actors, evaluator, status, verify: each as a user of its own; and the server logged no refusal."""
    server, urls = guarded
    admin = server.connect()
    of_run = ("--run", RUN)
    evaluating = ("--eval-cpu", "1", "--choosing-episodes", "2", "--out", str(tmp_path / "out"))
    with (
        running("learner", "--redis", urls[f"{RUN}~learner"], *of_run),
        running("actors", "--redis", urls[f"{RUN}~actor~box1"], *of_run, "--name", "box1", "--actors", "2"),
        running("actors", "--redis", urls[f"{RUN}~actor~box2"], *of_run, "--name", "box2"),
        running("evaluator", "--redis", urls[f"{RUN}~evaluator"], *of_run, *evaluating),
    ):
        wait_until(lambda: {b"box1-000", b"box1-001", b"box2-000"} <= set(admin.call("HKEYS", KEYS.roster)))
        wait_until(lambda: int(hash_of(admin, KEYS.head)["steps"]) >= 8000)
        wait_until(lambda: list((tmp_path / "out" / "best").glob("*.msgpack")))
        printed, _ = broodmind("status", "--redis", urls[f"{RUN}~monitor"], *of_run, "--json").communicate(
            timeout=PATIENCE_S
        )
    view = json.loads(printed)
    verify = broodmind("verify", "--redis", urls[f"{RUN}~auditor"], *of_run)
    verify.communicate(timeout=PATIENCE_S)
    assert verify.returncode == 0
    assert {actor["name"] for actor in view["actors"]} == {"box1-000", "box1-001", "box2-000"}
    assert int(view["head"]["steps"]) >= 8000
    assert [view["head"][reason] for reason in ("invalid", "wrong_epoch", "duplicate")] == ["0"] * 3
    assert not rejections(admin)
    admin.close()


def test_rare_operations_work_with_the_rights_of_the_acl_file(guarded):
    """A takeover, a departure, a full server, a script that the server forgot, weights fetched in parts."""
    server, urls = guarded
    admin, learner = server.connect(), Server(urls[f"{RUN}~learner"])
    lease = Lease(KEYS, 60_000)
    lease.acquire(learner, Stop(), 0)
    first = commit_after(Head())
    send(learner, KEYS, lease, first)
    admin.call("HSET", KEYS.spec, "json", SPEC.to_json())
    connection = joined_connection_as(urls[f"{RUN}~actor~box1"], "box1")
    connection.leave()
    reads = FencedReads(Server(urls[f"{RUN}~learner"]), KEYS, lease)
    reader = StreamReader(
        Server(urls[f"{RUN}~learner"]), reads, KEYS, lease, SPEC, lambda _: None, 100, Flow(IntakeConfig())
    )
    reader.follow_roster()
    reader.read()
    reader.watch_for_standstill()
    reader.publish_demand()
    reader.strike_off_silent()
    reader.close()
    assert not admin.call("HKEYS", KEYS.roster)
    admin.call("SCRIPT", "FLUSH")
    admin.call("CONFIG", "SET", "maxmemory", "1")
    send(learner, KEYS, lease, commit_after(first.head))
    admin.call("CONFIG", "SET", "maxmemory", "0")
    assert hash_of(admin, KEYS.head)["version"] == "2"
    lease.release(learner)
    assert not rejections(admin)
    for connection in (admin, learner):
        connection.close()


def joined_connection_as(url, actor):
    connection = ActorConnection(url, RUN, actor, Delivery())
    spec = connection.ask_spec()
    connection.enter()
    for _ in range(2):  # the second one waits for a version beyond the one that the first one told
        connection.round_trip(ActorStatus("playing"), wait_ms=1)
    assert spec is not None
    large = replace(spec, network=NetworkSpec(hidden=(512, 512)))
    # Longer than the blob is: two parts, the second empty, and a digest that fits neither.
    with pytest.raises(WireError, match="digest"):
        connection.versions.fetch_policy(Pointer(1, 1, "", "", 2 * CHUNK_BYTES), large)
    return connection


def cases(actor, other):
    """Each line of the matrix: the roles that may, and the command."""
    names = {"P": KEYS.pattern()[:-1], "trajectories": KEYS.trajectories(""), "actors": KEYS.heartbeat("")}
    names["incarnation"] = KEYS.incarnation("")
    for line in MATRIX.strip().splitlines():
        may, command = set(line.split()[:5]) - {"-"}, line.split()[5:]
        parts = [re.sub("other", other, re.sub("own", actor, part.format(**names))) for part in command]
        yield may, tuple([*parts[:1], " ".join(parts[1:]), "0"] if parts[0] in {"EVAL", "EVAL_RO"} else parts)


def is_refused(server, command):
    """For want of rights; an EXEC is answered EXECABORT then."""
    (reply,) = server.replies([command])
    return isinstance(reply, BroodmindError) and re.search("NOPERM|no permissions", str(reply))


def fill(admin):
    """Something under every key that a user might be after."""
    lease = Lease(KEYS, 60_000)
    lease.acquire(admin, Stop(), 0)
    send(admin, KEYS, lease, commit_after(Head(), rejected_entries=[{"reason": "invalid"}]))
    for actor in ACTORS:
        admin.pipeline([("XGROUP", "CREATE", KEYS.trajectories(actor), GROUP, "0", "MKSTREAM")])
        admin.pipeline([("XADD", KEYS.trajectories(actor), "1-1", *entry(actor)), ("HSET", KEYS.roster, actor, 1)])
        admin.pipeline([("HSET", KEYS.heartbeat(actor), "state", "playing"), ("SET", KEYS.incarnation(actor), "1 a")])
    admin.call("HSET", KEYS.spec, "json", SPEC.to_json())
    admin.call("HSET", Keys(OTHER_RUN).head, "version", 1)


@pytest.mark.parametrize(
    ("user", "role", "own", "other"),
    [
        (f"{RUN}~actor~box1", "a", "box1", "box2"),
        (f"{RUN}~actor~box2", "a", "box2", "box1"),
        (f"{RUN}~learner", "l", "box1", "box2"),
        (f"{RUN}~monitor", "m", "box1", "box2"),
        (f"{RUN}~auditor", "v", "box1", "box2"),
        (f"{RUN}~evaluator", "e", "box1", "box2"),
    ],
)
def test_each_command_is_allowed_or_refused_as_listed(guarded, user, role, own, other):
    server, urls = guarded
    admin, connection = server.connect(), Server(urls[user])
    fill(admin)
    before = everything(admin, KEYS)
    listed = list(cases(own, other))
    refused = [command for may, command in listed if role not in may]
    assert len(refused) >= 80
    assert [command for command in refused if not is_refused(connection, command)] == []
    assert everything(admin, KEYS) == before
    allowed = [command for may, command in listed if role in may]
    assert [command for command in allowed if is_refused(connection, command)] == []
    for each in (admin, connection):
        each.close()


def test_a_script_has_no_more_rights_than_the_learner(guarded):
    _, urls = guarded
    learner = Server(urls[f"{RUN}~learner"])
    for call in (
        "'FLUSHALL'",
        f"'GET', '{Keys(OTHER_RUN).latest}'",
        "'KEYS', '*'",
        "'RANDOMKEY'",
        "'PUBLISH', 'c', 'x'",
    ):
        (reply,) = learner.replies([("EVAL", f"return redis.call({call})", 0)])
        assert re.search("ACL failure|The user executing the script can't", str(reply)), reply
    assert learner.call("EVAL", f"return redis.call('EXISTS', '{KEYS.head}')", 0) == 0
    learner.close()


def test_commands_without_a_user_name_are_refused(guarded):
    server, _ = guarded
    stranger = Server(server.url.replace("admin:admin@", ""))
    for _, command in cases(*ACTORS):
        with pytest.raises(BroodmindError, match="NOAUTH"):
            stranger.call(*command)
    stranger.close()
