"""What a learner remembers of actors that have departed, and where it stands after each commit."""

from __future__ import annotations

from support.runs import SPEC

from broodmind.learner.config import LearnerConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.run.run_state import RunState, remembered


def test_cursors_of_departed_actors_are_bounded_and_the_oldest_removed_first():
    cursors = {f"actor{age}": (10**12 - age, 5) for age in range(30)}
    reading = {"actor0", "actor29"}
    left = remembered(cursors, reading, departed_kept=20)
    assert left.keys() == cursors.keys() - {f"actor{age}" for age in range(21, 29)}
    assert all(left[actor] == cursors[actor] for actor in left)


def test_below_the_bound_no_cursor_is_removed():
    cursors = {"a": (7, 1), "b": (8, 2)}
    assert remembered(cursors, set()) == cursors


def test_the_standing_is_replaced_as_a_whole_and_its_head_is_always_of_its_lineage():
    state = RunState("x", SPEC, LearnerConfig())
    state.first_version(Head(), 1)
    before = state.standing
    commit, snapshot = state.commit(state.new_batcher(), {"policy_loss": 0.5}, ())
    assert (before.head.version, before.lineage) == (1, {1: before.head.commit})
    assert state.standing.head == state.head == commit.head == snapshot.head
    assert state.standing.lineage == {1: before.head.commit, 2: commit.head.commit}
    assert snapshot.learner_state().lineage == state.standing.lineage


def test_a_commit_without_a_version_moves_the_head_and_leaves_the_lineage():
    state = RunState("x", SPEC, LearnerConfig())
    state.first_version(Head(), 1)
    before = state.standing
    commit, _ = state.commit(state.new_batcher(), None, ())
    assert (commit.parent, commit.weights) == (before.head, None)
    assert state.standing.lineage == before.lineage
    assert state.head.version == 1
    assert state.head.commit != before.head.commit
