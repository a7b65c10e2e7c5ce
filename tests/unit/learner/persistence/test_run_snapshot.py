"""What a run's keys must hold together, before anything of them is used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broodmind.common.errors import LineageLost, WireError
from broodmind.common.server.keys import Keys
from broodmind.learner.ledger.counters import Counters
from broodmind.learner.ledger.head import Head
from broodmind.learner.persistence.run_snapshot import LearnerState, encode_learner, load_snapshot, read_snapshot

KEYS = Keys("run")
HEAD = Head(2, 7, "c0ffee")
LEARNER = encode_learner(HEAD, LearnerState({"steps": 5}, {}, {"a": (7, 3)}, {7: "c0ffee"}))


class Stored:
    """A server with the keys of a run."""

    def __init__(self, **changed):
        head = {"epoch": 2, "version": 7, "commit": "c0ffee", **Counters(games=4).to_fields()}
        self.values = {
            KEYS.head: [str(part).encode() for pair in head.items() for part in pair],
            KEYS.learner: LEARNER,
            KEYS.weights(2, 7): b"weights",
            KEYS.restore_point: b"restore point",
        }
        for name, value in changed.items():
            self.values[{"head": KEYS.head, "learner": KEYS.learner, "weights": KEYS.weights(2, 7)}[name]] = value

    def call(self, _command, key):
        return self.values[key]

    def pipeline(self, commands):
        replies = [self.call(*command) for command in commands[1:-1]]
        return [b"OK", *[b"QUEUED"] * len(replies), replies]


class Moving(Stored):
    """A server whose run commits so often that a version is deleted before it is read, a few times."""

    def __init__(self, times):
        super().__init__()
        self._times = times

    def call(self, command, key):
        if key == KEYS.weights(2, 7) and self._times:
            self._times -= 1
            return None
        return super().call(command, key)


def test_a_run_is_loaded_with_all_that_its_head_names():
    snapshot = load_snapshot(Stored(), KEYS)
    assert (snapshot.head, snapshot.counters.games, snapshot.weights) == (HEAD, 4, b"weights")
    assert snapshot.trainer_state() == {"steps": 5}
    assert snapshot.learner_state().cursors == {"a": (7, 3)}
    assert snapshot.restore_point == b"restore point"


def test_without_a_head_there_is_no_run():
    assert load_snapshot(Stored(head=[]), KEYS) is None


@pytest.mark.parametrize(("lost", "key"), [("learner", KEYS.learner), ("weights", KEYS.weights(2, 7))])
def test_a_head_without_what_it_was_committed_with_is_refused_by_the_missing_key(lost, key):
    with pytest.raises(LineageLost) as refused:
        load_snapshot(Stored(**{lost: None}), KEYS)
    assert str(refused.value) == f"{key}: missing, expected what version 7 was committed with"


def test_a_learner_state_of_another_commit_is_refused():
    other = encode_learner(Head(2, 6, "other"), LearnerState({}, {}, {}, {}))
    with pytest.raises(LineageLost, match="learner state: of commit other, expected c0ffee"):
        load_snapshot(Stored(learner=other), KEYS).trainer_state()


def test_a_learner_state_of_another_form_is_refused():
    state = encode_learner(HEAD, LearnerState({}, {}, {"a": ("x", 1)}, {}))
    with pytest.raises(WireError, match=r"learner state: .*expected what a learner of this version wrote"):
        load_snapshot(Stored(learner=state), KEYS).learner_state()


def test_a_reader_without_the_lease_reads_again_while_versions_are_deleted():
    loaded = load_snapshot(Stored(), KEYS)
    assert loaded is not None
    assert read_snapshot(Moving(5), KEYS) == replace(loaded, restore_point=b"")
    assert read_snapshot(Stored(head=[]), KEYS) is None
    with pytest.raises(LineageLost, match="missing, expected what version 7"):
        read_snapshot(Moving(10**6), KEYS)
