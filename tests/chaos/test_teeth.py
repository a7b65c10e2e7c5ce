"""The tests' own teeth: known faults are planted in the product, and what guards against them must notice each.

Every scenario is run without its fault too, and is then found right: so it is the fault that is noticed.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
from support.learners import ONE_PIECE
from support.proxy import Proxy
from support.runs import NEVER, SPEC, commit_after, entry, fragment, hash_of, joined_connection, taken_lease
from support.servers import PATIENCE_S, wait_until

from broodmind.actors.transport.entry import Entry
from broodmind.common.errors import LeaseLost, LineageLost, RedisUnreachable
from broodmind.common.server.keys import CONSUMER, GROUP
from broodmind.common.server.streams import Script, Server
from broodmind.deploy.audit.verify import verify
from broodmind.learner.commit import commit as commit_module
from broodmind.learner.commit.commit import send
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import IntakeConfig, LearnerConfig, LeaseConfig
from broodmind.learner.flow.flow import Flow
from broodmind.learner.ingest.fenced_read import FencedReads, Wanted
from broodmind.learner.ingest.stream_reader import StreamReader
from broodmind.learner.ledger.counters import Counters
from broodmind.learner.ledger.head import Head
from broodmind.learner.persistence.last_known_state import LastKnownState
from broodmind.learner.session import Session

planted = pytest.mark.parametrize("fault", [False, True], ids=["as it is", "with the fault"])
CONFIG = LearnerConfig(intake=IntakeConfig(batch_steps=ONE_PIECE), lease=LeaseConfig(lease_ttl=60))

LEASE_CHECK = "if redis.call('GET', KEYS[1]) ~= c.token then"
PARENT_CHECK = "if found ~= expected then"
ALREADY_CHECK = "if head[1] == c.commit then"
HEAD_WRITE = "redis.call('HSET', KEYS[2], unpack(c.head))"


def plant(monkeypatch, module, name, *changes):
    """Change a script's text; what is to be replaced must be there, or the fault would not be planted."""
    source = getattr(module, name).source
    for old, new in changes:
        assert source.count(old) == 1, f"{old!r} in {name}"
        source = source.replace(old, new)
    monkeypatch.setattr(module, name, Script(source))


def found(server, run, journals=None):
    """The kinds of what the oracle finds wrong."""
    return {violation.kind for violation in verify(server.url, run, journals).violations}


def opened(server, run, redis, keys):
    """A learner in the middle of its work, and driven step by step."""
    session = Session(server.url, run, SPEC, CONFIG, Lease(keys, 60_000), LastKnownState())
    assert session.open(NEVER)
    return session


def step_until(session, redis, keys, **expected):
    def look():
        session.step()
        head = hash_of(redis, keys.head)
        return all(int(head[name]) == value for name, value in expected.items())

    wait_until(look, lambda: f"{expected} in {hash_of(redis, keys.head)}")


def pause_reads(session):
    """A learner that does not read from now on; returns what lets it go on."""
    reader, skipped = session.ingest.reader, threading.Event()
    read_once = reader.read

    def skip():
        skipped.set()
        return False

    reader.read = skip
    assert skipped.wait(PATIENCE_S)
    return lambda: setattr(reader, "read", read_once)


def read(redis, keys, actor, *sequences):
    """Entries in an actor's stream, read and pending."""
    stream = keys.trajectories(actor)
    redis.call("HSET", keys.roster, actor, 7)
    redis.replies([("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")])
    for sequence in sequences:
        redis.call("XADD", stream, f"7-{sequence}", *entry(actor))
    redis.call("XREADGROUP", "GROUP", GROUP, CONSUMER, "STREAMS", stream, ">")


def trained(parent, before, entries, **options):
    """A commit that trained on so many entries, and one whose counters say so."""
    counters = before.add(updates=1, accepted=entries, steps=entries * ONE_PIECE, games=entries)
    return replace(commit_after(parent, **options), counters=counters.to_fields())


@planted
def test_ids_that_redis_chooses_are_noticed(shared_server, redis, run, keys, tmp_path, monkeypatch, fault):
    """With `XADD *` a push whose reply is lost is there twice."""
    if fault:
        command = Entry.command
        monkeypatch.setattr(Entry, "command", lambda *args: (*command(*args)[:2], "*", *command(*args)[3:]))
    losses = iter(["lose the reply"])
    with Proxy(shared_server.port, lambda command: next(losses, None) if command[0] == b"XADD" else None) as proxy:
        connection = joined_connection(proxy.url, run, "a", journals=tmp_path)
        connection.push([fragment()], NEVER)
        connection.push([fragment()], NEVER)
        assert proxy.faults == 1
        connection.leave()
    session = opened(shared_server, run, redis, keys)
    step_until(session, redis, keys, accepted=3 if fault else 2)
    session.close()
    assert found(shared_server, run, tmp_path) == ({"lost"} if fault else set())
    consumed = verify(shared_server.url, run, tmp_path).metrics["consumed"]
    assert consumed == (3 if fault else 2)  # of two that were pushed


@planted
def test_counters_that_are_incremented_are_noticed(shared_server, redis, run, keys, monkeypatch, fault):
    """A commit whose reply is lost is sent again, and adds its amounts again."""
    first = replace(commit_after(Head()), counters=Counters().to_fields())
    if fault:
        increments = " ".join(
            f"redis.call('HINCRBY', KEYS[2], '{name}', {amount})"
            for name, amount in {"updates": 1, "accepted": 2, "steps": 2 * ONE_PIECE, "games": 2}.items()
        )
        fields = "redis.call('HSET', KEYS[2], 'commit', c.commit, 'parent', c.parent, 'version', c.version + 1)"
        changes = ((ALREADY_CHECK, f"{increments} {ALREADY_CHECK}"), (HEAD_WRITE, fields))
    lease = taken_lease(redis, keys)
    send(redis, keys, lease, first)
    read(redis, keys, "a", 1, 2)
    commit = trained(first.head, Counters(), 2, consumed={"a": ((7, 2), 2)})
    losses = iter(["lose the reply"])
    if fault:
        plant(monkeypatch, commit_module, "COMMIT_SCRIPT", *changes)
    redis.call("SCRIPT", "LOAD", commit_module.COMMIT_SCRIPT.source)  # the reply lost is that of the commit
    with Proxy(shared_server.port, lambda command: next(losses, None) if command[0] == b"EVALSHA" else None) as proxy:
        server = Server(proxy.url)
        with pytest.raises(RedisUnreachable):
            send(server, keys, lease, commit)
        send(server, keys, lease, commit)
        server.close()
    assert found(shared_server, run) == ({"head"} if fault else set())
    assert hash_of(redis, keys.head)["accepted"] == ("4" if fault else "2")


@planted
def test_a_commit_without_a_fence_is_noticed(shared_server, redis, run, keys, monkeypatch, fault):
    """A learner that slept while another went on writes over it."""
    if fault:
        never = "if false then"
        plant(monkeypatch, commit_module, "COMMIT_SCRIPT", (LEASE_CHECK, never), (PARENT_CHECK, never))
    sleeper = taken_lease(redis, keys)
    first = replace(commit_after(Head()), counters=Counters().to_fields())
    send(redis, keys, sleeper, first)
    read(redis, keys, "a", 1, 2)
    read(redis, keys, "b", 1)
    late = trained(first.head, Counters(), 2, consumed={"a": ((7, 2), 2)})
    redis.call("DEL", keys.lease)  # it ran out
    heir = taken_lease(redis, keys)
    commit = commit_after(first.head, publish=False, consumed={"b": ((7, 1), 1)})
    stale = Counters().add(stale=1).to_fields()
    send(redis, keys, heir, replace(commit, counters=stale, rejected_ids={"stale": {"b": "7-1"}}))
    assert found(shared_server, run) == set()
    if fault:
        send(redis, keys, sleeper, late)
    else:
        with pytest.raises(LeaseLost):
            send(redis, keys, sleeper, late)
    assert found(shared_server, run) == ({"chain", "fence", "counter"} if fault else set())


@planted
def test_a_read_without_a_fence_is_noticed(shared_server, redis, run, keys, fault):
    """A learner that slept takes an entry away from its heir; the heir's next commit finds one too many pending.

    With its heir's token it passes each check of the lease, as if there were none.
    """
    connection = joined_connection(shared_server.url, run, "a")
    heir = opened(shared_server, run, redis, keys)
    asleep = Lease(keys, 60_000)
    asleep.token = heir.lease.token if fault else "0-asleep"
    connection.push([fragment()], NEVER)
    step_until(heir, redis, keys, accepted=1)
    reads = FencedReads(shared_server.connect(), keys, asleep)
    zombie = StreamReader(shared_server.connect(), reads, keys, asleep, SPEC, lambda _: None, 100, Flow(IntakeConfig()))
    resume = pause_reads(heir)
    redis.call("XADD", keys.trajectories("a"), f"{connection.incarnation}-2", *entry("a"))
    if fault:
        zombie.follow_roster()
        wait_until(zombie.read)
    else:
        with pytest.raises(LeaseLost):
            zombie.follow_roster()
        with pytest.raises(LeaseLost):
            reads.ask([Wanted(keys.trajectories("a"), ">", 1)], {})
    reads.close()
    resume()
    redis.call("XADD", keys.trajectories("a"), f"{connection.incarnation}-3", *entry("a", version=2))
    connection.leave()
    if fault:
        with pytest.raises(LineageLost, match=r"PENDING .* has 2 entries"):
            step_until(heir, redis, keys, accepted=2)
        heir.abandon()
    else:
        step_until(heir, redis, keys, accepted=3)
        heir.close()
    assert found(shared_server, run) == set()  # it was noticed in time


@planted
def test_acknowledging_before_the_commit_is_noticed(shared_server, redis, run, keys, tmp_path, monkeypatch, fault):
    """A learner that dies between its read and its commit takes with it what it had read."""
    if fault:
        take = FencedReads.take

        def acknowledging(reads):
            reply, unread = take(reads)
            for stream, entries in reply:
                for entry_id, _ in entries:
                    redis.pipeline([("XACK", stream, GROUP, entry_id), ("XDEL", stream, entry_id)])
            return reply, unread

        monkeypatch.setattr(FencedReads, "take", acknowledging)
    connection = joined_connection(shared_server.url, run, "a", journals=tmp_path)
    first = opened(shared_server, run, redis, keys)
    connection.push([fragment(), fragment(), fragment()], NEVER)
    wait_until(lambda: first.ingest.reader.queue.held_steps == 3 * ONE_PIECE)  # read, and nothing committed
    first.abandon()
    redis.call("DEL", keys.lease)
    heir = opened(shared_server, run, redis, keys)
    if not fault:
        step_until(heir, redis, keys, accepted=3)
    heir.close()
    connection.leave()
    assert found(shared_server, run, tmp_path) == ({"lost", "stream"} if fault else set())
    lost = Counter(violation.kind for violation in verify(shared_server.url, run, tmp_path).violations)["lost"]
    assert lost == (3 if fault else 0)
