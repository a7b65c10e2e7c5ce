"""What is read of a run while its learner goes on committing."""

from __future__ import annotations

import pytest

from broodmind.common.errors import BroodmindError
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import ReplyError
from broodmind.common.wire.weights import Pointer, digest
from broodmind.deploy.audit.snapshot import take_snapshot

KEYS = Keys("run")
OLD, NEW = Pointer(1, 3, "c3", "d", 10), Pointer(1, 9, "c9", "d", 10)
BLOB = b"0123456789"


class Run:
    """A server whose pointer and weights are given: as the transaction finds them, and as a later look does."""

    def __init__(self, latest, blobs, *, later=None, streams=()):
        self.latest, self.later, self.streams, self.transactions = latest, later or latest, list(streams), 0
        self.blobs = {KEYS.weights(each.epoch, each.version): BLOB for each in blobs}

    def pipeline(self, commands):
        self.transactions += 1
        read = [[], self.latest.to_json().encode() if self.latest else None, [], [], [b"a"], self.streams]
        return [b"OK", *[b"QUEUED"] * (len(commands) - 2), read]

    def call(self, command, *arguments):
        blob = self.blobs.get(arguments[0])
        match command:
            case "GETRANGE":
                return (blob or b"")[int(arguments[1]) : int(arguments[2]) + 1]
            case "EXISTS":
                return int(blob is not None)
        return self.later.to_json().encode()


def test_the_weights_are_those_of_the_pointer():
    assert take_snapshot(Run(OLD, [OLD], streams=[[0, 0, [], []]]), KEYS, ["a"]).blob == (OLD, digest(BLOB))


def test_where_they_were_collected_meanwhile_those_of_the_newer_pointer_are_taken():
    found = take_snapshot(Run(OLD, [NEW], later=NEW, streams=[[0, 0, [], []]]), KEYS, ["a"])
    assert found.latest == OLD
    assert found.blob == (NEW, digest(BLOB))


def test_where_the_pointer_s_own_are_missing_it_is_said_and_not_waited_for():
    assert take_snapshot(Run(OLD, [], streams=[[0, 0, [], []]]), KEYS, ["a"]).blob == (OLD, None)


def test_of_a_run_without_a_version_no_weights_are_expected():
    found = take_snapshot(Run(None, [], later=OLD, streams=[[0, 0, [], []]]), KEYS, ["a"])
    assert (found.latest, found.blob) == (None, None)


def test_an_actor_that_joined_meanwhile_is_looked_at_too():
    run = Run(OLD, [OLD], streams=[[5, 1, [b"7-5"], []]])
    assert take_snapshot(run, KEYS).streams["a"].added == 5
    assert run.transactions == 2


def test_an_error_within_the_transaction_is_raised():
    run = Run(OLD, [OLD])
    run.pipeline = lambda _: [b"OK", [[], None, ReplyError("WRONGTYPE no stream"), [], [], []]]
    with pytest.raises(BroodmindError, match="WRONGTYPE no stream"):
        take_snapshot(run, KEYS)
