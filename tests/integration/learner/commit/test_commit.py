"""The commit script on real servers: all of it or none of it."""

from __future__ import annotations

import pytest
from support.runs import NEVER, commit_after, entry, everything, hash_of

from broodmind.common.errors import LeaseHeld, LeaseLost, LineageLost
from broodmind.common.server.keys import CONSUMER, GROUP
from broodmind.common.server.streams import ReplyError
from broodmind.common.wire.weights import Pointer, digest
from broodmind.learner.commit import commit as commit_module
from broodmind.learner.commit.commit import send
from broodmind.learner.commit.lease import Lease
from broodmind.learner.ledger.head import Head


@pytest.fixture
def first(redis, keys, lease):
    """A run with its first version."""
    commit = commit_after(Head())
    send(redis, keys, lease, commit)
    return commit


def push_and_read(redis, keys, actor, count, *, first=1):
    """Entries 7-first .. in the actor's stream, read by the learner's group."""
    stream = keys.trajectories(actor)
    redis.replies([("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")])
    for sequence in range(first, first + count):
        redis.call("XADD", stream, f"7-{sequence}", *entry(actor))
    redis.call("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count, "STREAMS", stream, ">")


def groups(redis, keys, actor):
    (raw,) = redis.call("XINFO", "GROUPS", keys.trajectories(actor))
    return {name.decode(): value for name, value in zip(raw[::2], raw[1::2], strict=True)}


def test_a_commit_publishes_what_its_pointer_says(redis, keys, first):
    pointer = Pointer.from_json(redis.call("GET", keys.latest))
    blob = redis.call("GET", keys.weights(1, 1))
    assert (pointer.epoch, pointer.version, pointer.commit) == (1, 1, first.head.commit)
    assert digest(blob) == pointer.digest
    assert len(blob) == pointer.length
    assert redis.call("GET", keys.learner) == first.learner
    head = hash_of(redis, keys.head)
    assert (head["version"], head["commit"], head["games"]) == ("1", first.head.commit, "1")
    ((entry_id, fields),) = redis.call("XRANGE", keys.versions, "-", "+")
    assert entry_id == b"1-1"
    assert fields[fields.index(b"loss") + 1] == b"0.5"


def test_committed_blobs_have_no_expiry_and_staged_ones_are_gone(redis, keys, first):
    for key in (keys.learner, keys.restore_point, keys.weights(1, 1), keys.latest, keys.head):
        assert redis.call("PTTL", key) == -1, f"{key} would expire"
    assert not redis.call("KEYS", f"broodmind:{{{keys.run}}}:staged:*")


def test_consumed_entries_are_deleted_and_the_lag_stays_exact(redis, keys, lease, first):
    push_and_read(redis, keys, "a", 3)
    push_and_read(redis, keys, "b", 2)
    redis.call("XADD", keys.trajectories("a"), "7-4", *entry("a"))
    send(redis, keys, lease, commit_after(first.head, consumed={"a": ((7, 2), 2), "b": ((7, 2), 2)}))
    assert [raw for raw, _ in redis.call("XRANGE", keys.trajectories("a"), "-", "+")] == [b"7-3", b"7-4"]
    assert (groups(redis, keys, "a")["pending"], groups(redis, keys, "a")["lag"]) == (1, 1)
    assert redis.call("XLEN", keys.trajectories("b")) == 0
    assert (groups(redis, keys, "b")["pending"], groups(redis, keys, "b")["lag"]) == (0, 0)


def test_a_commit_may_consume_more_entries_than_luas_stack_holds(redis, keys, lease, first):
    stream, count = keys.trajectories("a"), 9000
    redis.call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
    redis.pipeline([("XADD", stream, f"7-{n}", "p", "x") for n in range(1, count + 1)])
    redis.call("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count, "STREAMS", stream, ">")
    send(redis, keys, lease, commit_after(first.head, consumed={"a": ((7, count), count)}))
    assert redis.call("XLEN", stream) == 0


def test_a_commit_sent_again_changes_nothing(redis, keys, lease, first):
    push_and_read(redis, keys, "a", 2)
    commit = commit_after(first.head, consumed={"a": ((7, 2), 2)}, rejected_entries=[{"reason": "invalid"}])
    send(redis, keys, lease, commit)
    before = everything(redis, keys)
    send(redis, keys, lease, commit)
    assert without_staged(everything(redis, keys)) == before


def test_a_commit_without_a_version_still_deletes_consumed_entries(redis, keys, lease, first):
    push_and_read(redis, keys, "a", 1)
    send(redis, keys, lease, commit_after(first.head, publish=False, consumed={"a": ((7, 1), 1)}))
    assert redis.call("XLEN", keys.trajectories("a")) == 0
    assert redis.call("XLEN", keys.versions) == 1
    assert redis.call("GET", keys.restore_point) == first.restore_point
    assert Pointer.from_json(redis.call("GET", keys.latest)).version == 1
    send(redis, keys, lease, commit_after(Head(1, 1, hash_of(redis, keys.head)["commit"])))
    assert Pointer.from_json(redis.call("GET", keys.latest)).version == 2


def test_only_the_weights_of_the_last_versions_are_kept(redis, keys, lease, first):
    head, kept = first.head, commit_module.WEIGHTS_KEPT
    for _ in range(kept + 2):
        commit = commit_after(head)
        send(redis, keys, lease, commit)
        head = commit.head
    versions = {int(key.rpartition(b"-")[2]) for key in redis.call("KEYS", keys.weights(1, 0)[:-1] + "*")}
    assert versions == set(range(head.version - kept + 1, head.version + 1))


def without_staged(everything_there):
    return {key: value for key, value in everything_there.items() if b":staged:" not in key}


def check_refused(redis, keys, lease, commit, error, match, connection=None):
    before = everything(redis, keys)
    with pytest.raises(error, match=match):
        send(connection or redis, keys, lease, commit)
    assert without_staged(everything(redis, keys)) == without_staged(before)


def test_a_learner_without_the_lease_changes_nothing(redis, keys, first):
    stranger = Lease(keys, 60_000)
    stranger.token = "1-deadbeef"
    check_refused(redis, keys, stranger, commit_after(first.head), LeaseLost, "FENCED")


@pytest.mark.parametrize("parent", [Head(1, 1, "0123456789abcdef"), Head(1, 2, ""), Head(2, 1, ""), Head()])
def test_a_commit_of_another_parent_changes_nothing(redis, keys, lease, first, parent):
    commit = commit_after(
        parent if parent.commit or parent == Head() else Head(parent.epoch, parent.version, first.head.commit)
    )
    check_refused(redis, keys, lease, commit, LineageLost, "LINEAGE")


@pytest.mark.parametrize(("last", "count"), [((7, 2), 1), ((7, 2), 3), ((7, 3), 3), ((7, 1), 2)])
def test_consuming_other_entries_than_are_pending_changes_nothing(redis, keys, lease, first, last, count):
    push_and_read(redis, keys, "a", 2)
    redis.call("XADD", keys.trajectories("a"), "7-3", *entry("a"))
    commit = commit_after(first.head, consumed={"a": (last, count)})
    check_refused(redis, keys, lease, commit, LineageLost, "PENDING")


@pytest.mark.parametrize("what", ["learner", "weights", "restore_point"])
def test_a_torn_blob_changes_nothing(redis, keys, lease, first, what):
    commit = commit_after(first.head)

    class Tearing:
        """A connection on which one staged blob loses its last byte."""

        def pipeline(self, commands):
            torn = [(*c[:2], c[2][:-1], *c[3:]) if f":staged:{what}:" in c[1] else c for c in commands]
            return redis.pipeline(torn)

        script = staticmethod(redis.script)

    check_refused(redis, keys, lease, commit, LineageLost, "STAGED", Tearing())


def test_every_key_of_a_run_is_bounded(redis, keys, lease, first):
    """A key is known to be one of few, or expires: nothing of a run grows for ever."""
    push_and_read(redis, keys, "a", 1)
    send(
        redis,
        keys,
        lease,
        commit_after(first.head, consumed={"a": ((7, 1), 1)}, rejected_entries=[{"reason": "invalid"}]),
    )
    one_each = {
        *(keys.head, keys.latest, keys.versions, keys.learner, keys.stats, keys.rejected),
        *(keys.ledger, keys.fence, keys.spec, keys.roster, keys.restore_point),
        *(keys.trajectories("a"), keys.weights(1, 1), keys.weights(1, 2)),
    }
    for raw in redis.call("KEYS", f"broodmind:{{{keys.run}}}:*"):
        key = raw.decode()
        assert key in one_each or redis.call("PTTL", key) > 0, f"{key} has neither a bound nor an expiry"


def test_a_lease_has_one_holder_and_its_fencing_number_rises(redis, keys, lease):
    rival = Lease(keys, 60_000)
    with pytest.raises(LeaseHeld, match=lease.token):
        rival.acquire(redis, NEVER, 0)
    lease.release(redis)
    rival.acquire(redis, NEVER, 0)
    assert int(rival.token.partition("-")[0]) == 2
    lease.token = "1-deadbeef"
    with pytest.raises(LeaseLost):
        lease.renew(redis)
    with pytest.raises(LeaseLost):
        lease.release(redis)


def test_a_lease_expires(redis, keys):
    dead, heir = Lease(keys, 50), Lease(keys, 60_000)
    dead.acquire(redis, NEVER, 0)
    heir.acquire(redis, NEVER, wait_s=10)
    with pytest.raises(LeaseLost):
        dead.renew(redis)
    heir.renew(redis)


@pytest.mark.parametrize("removed", ["lease", "lease and fence"])
def test_a_lease_that_ended_is_taken_again_under_a_new_number(redis, keys, lease, first, removed):
    before = lease.token
    redis.call("DEL", keys.lease, *([keys.fence] if removed == "lease and fence" else []))
    with pytest.raises(LeaseLost):
        send(redis, keys, lease, commit_after(first.head))
    assert lease.take_again(redis)
    assert (before.partition("-")[0], lease.token.partition("-")[0]) == ("1", "2")
    send(redis, keys, lease, commit_after(first.head))
    old = Lease(keys, 60_000)
    old.token = before
    with pytest.raises(LeaseLost):  # what was sent before it ended
        old.renew(redis)


@pytest.mark.parametrize("heir_is", ["alive", "gone"])
def test_a_lease_that_another_had_since_is_not_taken_again(redis, keys, lease, heir_is):
    before = lease.token
    redis.call("DEL", keys.lease)
    heir = Lease(keys, 60_000)
    heir.acquire(redis, NEVER, 0)
    if heir_is == "gone":
        heir.release(redis)
    state = everything(redis, keys)
    assert not lease.take_again(redis)
    assert (everything(redis, keys), lease.token) == (state, before)
    assert not Lease(keys, 60_000).take_again(redis)  # which never had one


def test_an_error_that_says_nothing_of_the_run_is_not_taken_for_a_lost_lineage(redis, keys, lease, first):
    redis.call("DEL", keys.stats)
    redis.call("SET", keys.stats, "not a hash")
    with pytest.raises(ReplyError, match="WRONGTYPE") as raised:
        send(redis, keys, lease, commit_after(first.head))
    assert type(raised.value) is ReplyError
