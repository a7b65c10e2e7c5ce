"""The streams and the commit against a model of them: plain sets of ids, and every fault in any order.

Hypothesis makes up the orders: actors push, lose requests and replies, skip numbers, sleep, come back; learners read,
take in, commit, lose the reply, die, are paused and go on as zombies; scripts are forgotten. All of it with the
product's own Uplink and Session, on real servers; only their threads and pauses are left out, so that a failure is an
order of steps to read.

Whole: 10,000 examples of 50 steps, some 45 minutes a server; below that a hundredth of it, in half a minute.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.faulty_server import FaultyServer
from support.runs import NEVER, SPEC, everything, fragment, hash_of, make_header
from support.servers import KINDS, RealServer

from broodmind.actors.transport.blocking_connection import BlockingActorConnection
from broodmind.common.errors import BroodmindError, LeaseLost, RedisUnreachable
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import parse_id
from broodmind.common.spec import NetworkSpec
from broodmind.common.wire.weights import Pointer, digest
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import IntakeConfig, LearnerConfig, LeaseConfig
from broodmind.learner.ledger.counters import REJECTIONS
from broodmind.learner.persistence.last_known_state import LastKnownState
from broodmind.learner.session import Session

EXAMPLES, STEPS = 10_000, 50
TINY = replace(SPEC, network=NetworkSpec(hidden=(2,)))
MAX_STALENESS = 2
CONFIG = LearnerConfig(
    PPOConfig(n_epochs=1), IntakeConfig(max_staleness=MAX_STALENESS), lease=LeaseConfig(lease_ttl=600, lease_wait=0)
)
KEYS = Keys("model")
ACTORS = st.sampled_from(["a", "b"])
FAULTS = st.sampled_from(["none", "none", "request lost", "reply lost", "reply lost twice"])
COMMIT_FAULTS = st.sampled_from(["none", "none", "none", "request lost", "reply lost", "sent twice"])
BAD = replace(fragment().trajectory, rewards=np.full((4, 2), np.nan, np.float32))


def evaluation_of(made):
    """The header of two games that evaluate the version which has played a fragment."""
    first = make_header(made.played_with[0].version, made.played_with[0].epoch, 8, 2, 10**12)
    return replace(first, evaluation=True)


class StreamsAndCommit(RuleBasedStateMachine):
    def __init__(self, server):
        super().__init__()
        self.server, self.redis = server, server.connect()
        self.redis.call("FLUSHDB")
        self.connections, self.servers = {}, {}  # by actor
        self.skipped = Counter()  # numbers that an actor's next entry leaves out
        self.learner, self.zombies = None, []
        self.read_ahead = []  # read and not yet taken: (entry, the learner's version at that time)
        # The model.
        self.sent = {}  # (actor, id) to (version, epoch, whether it is "bad" or an "evaluation")
        self.added = Counter()  # (actor, id), each time that the server took it
        self.consumed = Counter()  # (actor, id), each time that a commit consumed it
        self.accepted = set()
        self.expected = {}  # (actor, id) to what must become of it
        self.counts = Counter(dict.fromkeys(("accepted", "lost", "evaluation_entries", *REJECTIONS), 0))
        self.processed_solo = set()  # (actor, id) of what was ever processed by itself
        self.poison = set()  # those of them whose learner died
        self.last = {}  # actor to the last id consumed
        self.heads = []  # (epoch, version, commit), one a commit

    def teardown(self):
        for session in (self.learner, *self.zombies):
            if session is not None:
                session.abandon()
        for own in self.servers.values():
            own.close()
        self.redis.close()

    # Actors.

    @initialize()
    def the_run_begins(self):
        self.learner_starts()
        for actor in ("a", "b"):
            self.actor_starts_or_is_started_again(actor)

    @rule(actor=ACTORS)
    def actor_starts_or_is_started_again(self, actor):
        if actor in self.connections:
            self.servers[actor].close()
        own = self.servers[actor] = FaultyServer(self.server.url)
        own.rule = lambda _: self.exchange(actor, "none")
        self.connections[actor] = BlockingActorConnection(
            self.server.url, KEYS.run, actor, server=own, heartbeat_s=0, reconnect_s=(0.0, 0.0)
        )
        self.connections[actor].join(TINY)
        self.skipped[actor] = 0

    def exchange(self, actor, fault):
        """An exchange of an actor's that meets a fault, and is noted if the server has executed it."""

        def replies(whole, commands):
            if fault == "request lost":
                raise RedisUnreachable(fault)
            found = whole(commands)
            for command, reply in zip(commands, found, strict=True):
                if command[0] == "XADD" and not isinstance(reply, BroodmindError):
                    self.added[actor, parse_id(reply)] += 1
            if fault == "reply lost":
                raise RedisUnreachable(fault)
            return found

        return replies

    @rule(actor=ACTORS, lags=st.lists(st.sampled_from([0, 0, 0, 1, 3, -1]), max_size=3), fault=FAULTS)
    def actor_pushes(self, actor, lags, fault):
        self.push(actor, [(max(self.version - lag, 0), 1, "") for lag in lags], fault)

    @rule(actor=ACTORS, epoch=st.sampled_from([1, 2]), fault=FAULTS)
    def actor_pushes_what_cannot_be_trained_on(self, actor, epoch, fault):
        self.push(actor, [(self.version, epoch, "bad")], fault)

    @rule(actor=ACTORS, lags=st.lists(st.sampled_from([0, 1, 9, -1]), max_size=2), fault=FAULTS)
    def actor_pushes_what_evaluates_a_version(self, actor, lags, fault):
        self.push(actor, [(max(self.version - lag, 0), 1, "evaluation") for lag in lags], fault)

    def push(self, actor, entries, fault):
        connection = self.connections.get(actor)
        if connection is None:
            return
        fragments = []
        incarnation, last = connection.delivery.last_id
        for number, (version, epoch, kind) in enumerate(entries, last + self.skipped[actor] + 1):
            made = fragment(version, epoch)
            fragments.append(replace(made, trajectory=BAD) if kind == "bad" else made)
            self.sent[actor, (incarnation, number)] = (version, epoch, kind)
        if entries and entries[0][2] == "evaluation":  # a client's, beside those of stepped games
            for each in fragments:
                connection.delivery.put(evaluation_of(each), b"")
            fragments = []
        faults = {"none": [], "reply lost twice": ["reply lost"] * 2}.get(fault, [fault])
        self.servers[actor].faults = [self.exchange(actor, each) for each in faults]
        connection.push(fragments, NEVER)
        if entries:
            self.skipped[actor] = 0

    @rule(actor=ACTORS, numbers=st.integers(1, 3))
    def actor_drops_some(self, actor, numbers):
        if actor in self.connections:
            self.connections[actor].delivery.skip(numbers)
            self.skipped[actor] += numbers

    @rule(actor=ACTORS)
    def actor_leaves(self, actor):
        if actor in self.connections:
            self.connections.pop(actor).leave()

    @rule(actor=ACTORS, struck_off=st.booleans(), committed=st.booleans())
    def actor_sleeps_past_its_heartbeat(self, actor, struck_off, committed):
        """The learner may strike it off; when it wakes up, with the next push, it may have to send again."""
        if actor not in self.connections:
            return
        self.redis.call("DEL", KEYS.heartbeat(actor))
        if self.learner is not None and struck_off:
            self.learner_looks_for_the_silent()
            if committed:
                self.learner_commits("none")

    # Learners.

    @property
    def version(self):
        return self.heads[-1][1]

    def opened(self, lease, known=None):
        """A session of a new learner, or of one that knew of the run before its connection broke."""
        session = Session(self.server.url, KEYS.run, TINY, CONFIG, lease, known or LastKnownState())
        assert session.prepare(NEVER)  # and no thread that reads: every read is a step of its own
        self.read_ahead = []
        self.poison = set() if known else {each for each in self.processed_solo if not self.consumed[each]}
        return session

    @precondition(lambda self: self.learner is None)
    @rule()
    def learner_starts(self):
        self.learner = self.opened(Lease(KEYS, CONFIG.lease.ttl_ms))
        self.note_commit(None)

    @precondition(lambda self: self.learner is not None)
    @rule()
    def learner_dies(self):
        self.learner.abandon()
        self.learner = None
        self.redis.call("DEL", KEYS.lease)  # it runs out

    @precondition(lambda self: self.learner is not None)
    @rule()
    def learner_is_paused_and_another_takes_over(self):
        self.zombies.append(self.learner)
        self.redis.call("DEL", KEYS.lease)
        self.learner = self.opened(Lease(KEYS, CONFIG.lease.ttl_ms))

    @precondition(lambda self: self.learner is not None)
    @rule()
    def learner_loses_its_connection(self):
        self.start_over()

    def start_over(self):
        lost = self.learner
        lost.abandon()
        self.learner = self.opened(lost.lease, lost.last_known)

    @precondition(lambda self: self.learner is not None)
    @rule()
    def learner_reads(self):
        self.learner.ingest.reader.follow_roster()
        for _ in range(2):  # what is pending, then what is new
            self.learner.ingest.reader.read()
        while (entry := self.learner.ingest.take(0)) is not None:
            if entry.processed_solo:
                self.processed_solo.add((entry.actor, entry.id))
            self.read_ahead.append((entry, self.learner.state.head.version))

    @precondition(lambda self: self.learner is not None and self.read_ahead)
    @rule(count=st.integers(1, 6))
    def learner_takes(self, count):
        taken, self.read_ahead = self.read_ahead[:count], self.read_ahead[count:]
        for entry, version in taken:
            self.expected[entry.actor, entry.id] = self.fate_of(entry.actor, entry.id, version)
            self.learner.take_in(entry)

    @precondition(lambda self: self.learner is not None)
    @rule(fault=COMMIT_FAULTS)
    def learner_commits(self, fault):
        batcher, state = self.learner.batcher, self.learner.state
        metrics = self.learner.train() if batcher.accepted else None
        server = self.learner.commit_thread.server
        whole = server.script

        def script(*arguments):
            if fault == "request lost":
                raise RedisUnreachable(fault)
            reply = whole(*arguments)
            if fault == "reply lost":
                raise RedisUnreachable(fault)
            return whole(*arguments) if fault == "sent twice" else reply

        server.script = script
        self.learner.commit(metrics)
        server.script = whole if fault == "none" else script
        try:
            self.learner.commit_thread.settle()
        except RedisUnreachable:
            if fault == "reply lost":
                self.note_commit(batcher, state.head)
            self.start_over()
        else:
            self.note_commit(batcher, state.head)
        server.script = whole

    @precondition(lambda self: self.learner is not None)
    @rule(lags=st.lists(st.sampled_from([0, 0, 3]), max_size=3), pushed=FAULTS, committed=COMMIT_FAULTS)
    def all_of_it_in_its_usual_order(self, lags, pushed, committed):
        """So often that there is something for the faults to hit."""
        for actor in ("a", "b"):
            self.actor_pushes(actor, lags, pushed)
        self.learner_reads()
        self.learner_takes(9)
        self.learner_commits(committed)

    @precondition(lambda self: self.learner is not None)
    @rule()
    def learner_looks_for_the_silent(self):
        self.learner.ingest.reader.strike_off_silent()

    @precondition(lambda self: self.zombies)
    @rule(what=st.sampled_from(["read", "commit", "renew", "strike off"]))
    def zombie_wakes_up(self, what):
        """It may do nothing at all."""
        zombie = self.zombies.pop()
        silenced = {}
        if what == "strike off":  # it looks further only at those it hears nothing of
            silenced = {key: self.redis.call("DUMP", key) for key in map(KEYS.heartbeat, zombie.ingest.actors)}
            self.redis.pipeline([("DEL", key) for key in silenced])
        if zombie.ingest.reader.reads.under_way:  # asked for and answered before its pause: its heir has read it too
            zombie.ingest.reader.reads.take()
        before = self.without_staged()
        deeds = {
            # Where there is nothing to read it does not even ask for it, and hears only of its lease.
            "read": lambda: zombie.ingest.reader.read() or zombie.lease.renew(self.redis),
            "strike off": zombie.ingest.reader.strike_off_silent,
            "commit": lambda: self.commit_of(zombie),
        }
        if what not in deeds or (what != "commit" and not zombie.ingest.actors):  # it has nothing to read
            deeds[what] = lambda: zombie.lease.renew(self.redis)
        if zombie.ingest.reader.quarantine.in_hand and what == "read":  # it waits for its commit
            what = "commit"
        with pytest.raises(LeaseLost):
            deeds[what]()
        assert self.without_staged() == before
        self.redis.pipeline([("RESTORE", key, 0, beat) for key, beat in silenced.items() if beat is not None])
        zombie.abandon()

    @staticmethod
    def commit_of(session):
        session.commit(session.train() if session.batcher.accepted else None)
        session.commit_thread.settle()

    def without_staged(self):
        return {key: value for key, value in everything(self.redis, KEYS).items() if b":staged:" not in key}

    # The server.

    @rule()
    def server_forgets_its_scripts(self):
        self.redis.call("SCRIPT", "FLUSH")

    # The model.

    def note_commit(self, batcher, head=None):
        """What a commit that went through must have changed."""
        found = hash_of(self.redis, KEYS.head)
        epoch, version, commit = int(found["epoch"]), int(found["version"]), found["commit"]
        if batcher is None:  # a learner that has just started
            if not self.heads:
                assert (epoch, version, found["parent"]) == (1, 1, "")
                self.heads.append((epoch, version, commit))
            assert self.heads[-1] == (epoch, version, commit)
            return
        assert commit == head.commit
        assert (epoch, found["parent"]) == (self.heads[-1][0], self.heads[-1][2])
        assert version == self.version + bool(batcher.accepted)
        fates = {(actor, entry_id): "accepted" for entry_id, actor, _, _ in batcher.accepted}
        for entry, reason in batcher.rejected:
            fates[entry.actor, entry.id] = reason
        fates |= {(actor, entry_id): "evaluation_entries" for entry_id, actor, _ in batcher.evaluated}
        for (actor, entry_id), fate in sorted(fates.items()):
            assert fate == self.expected[actor, entry_id], (actor, entry_id, fate, self.expected[actor, entry_id])
            self.consumed[actor, entry_id] += 1
            self.counts[fate] += 1
            if fate == "accepted":
                assert (actor, entry_id) not in self.accepted, f"{actor} {entry_id} trained on twice"
                self.accepted.add((actor, entry_id))
            if fate != "duplicate":
                incarnation, number = self.last.get(actor, (0, 0))
                self.counts["lost"] += entry_id[1] - 1 - (number if incarnation == entry_id[0] else 0)
                self.last[actor] = entry_id
        assert batcher.consumed.keys() == {actor for actor, _ in fates}
        self.heads.append((epoch, version, commit))

    def fate_of(self, actor, entry_id, version):
        """What must become of an entry that is taken in now, and was read when `version` was current."""
        played, epoch, kind = self.sent[actor, entry_id]
        if entry_id <= self.last.get(actor, (0, 0)):
            return "duplicate"
        if (actor, entry_id) in self.poison:
            return "poison"
        if kind == "evaluation":  # of any version that this run has had, however old
            off = epoch != 1 or played > version
            return "wrong_epoch" if off else "evaluation_entries"
        return (
            self.too_old(played, epoch, version)
            or (kind == "bad" and "invalid")
            or self.too_old(played, epoch, self.version)
            or "accepted"
        )

    @staticmethod
    def too_old(played, epoch, version):
        if epoch != 1 or played > version:
            return "wrong_epoch"
        return "stale" if version - played > MAX_STALENESS else None

    # The invariants.

    @invariant()
    def what_redis_holds_follows_from_the_model(self):
        if not self.heads:
            return
        actors = ["a", "b"]
        head, latest, *lengths = self.redis.pipeline(
            [("HGETALL", KEYS.head), ("GET", KEYS.latest), *(("XLEN", KEYS.trajectories(actor)) for actor in actors)]
        )
        head = {name.decode(): value.decode() for name, value in zip(head[::2], head[1::2], strict=True)}
        # Added and not left is what was consumed, stream by stream; and so are the counters.
        for actor, length in zip(actors, lengths, strict=True):
            added, consumed = (
                sum(n for (who, _), n in counter.items() if who == actor) for counter in (self.added, self.consumed)
            )
            assert added - length == consumed, f"{actor}: {added} added, {length} there, {consumed} consumed"
        assert not self.consumed - self.added
        # The counters are the sums over the commits.
        assert {name: int(head[name]) for name in self.counts} == dict(self.counts)
        assert int(head["steps"]) == 8 * len(self.accepted)
        assert int(head["games"]) == len(self.accepted)
        assert int(head["evaluation_games"]) == 2 * self.counts["evaluation_entries"]
        # One commit after another.
        assert (int(head["epoch"]), int(head["version"]), head["commit"]) == self.heads[-1]
        # The blob is the pointer's.
        pointer = Pointer.from_json(latest)
        assert (pointer.epoch, pointer.version) == self.heads[-1][:2]
        assert digest(self.redis.call("GET", KEYS.weights(pointer.epoch, pointer.version))) == pointer.digest
        assert self.redis.call("XLEN", KEYS.ledger) == len(self.heads)


@pytest.mark.parametrize("kind", KINDS)
def test_no_order_of_faults_loses_doubles_or_miscounts_an_entry(kind, times, chaos):
    server, examples = RealServer(kind), times(EXAMPLES)
    begun = 0

    def machine():
        nonlocal begun
        begun += 1
        return StreamsAndCommit(server)

    wanted = examples if examples == EXAMPLES else examples // 10  # a tenth would take minutes
    try:
        run_state_machine_as_test(
            seed(chaos.randrange(2**32))(machine),
            settings=settings(
                max_examples=wanted,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                report_multiple_bugs=False,
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        server.close()
    assert begun >= wanted  # each of which holds itself against the model after each step
