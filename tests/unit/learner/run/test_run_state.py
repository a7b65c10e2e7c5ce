"""What a learner remembers of actors that have departed, and where it stands after each commit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.runs import SPEC, make_header, trajectory

from broodmind.learner.config import IntakeConfig, Intervals, LearnerConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.ledger.stream_entry import Entry
from broodmind.learner.persistence.run_snapshot import encode_learner
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


def gone_back(version):
    """A run at version 2 that has gone back to an earlier state with `version`, as a successor finds it."""
    config = LearnerConfig(intake=IntakeConfig(batch_steps=8, max_age=1e12), intervals=Intervals(gauges_s=0.0))
    state, heir = (RunState("x", SPEC, config) for _ in range(2))
    state.first_version(Head(), 1)
    _, snapshot = state.commit(state.new_batcher(), {"policy_loss": 0.5}, ())
    stored = snapshot.learner_state()
    changed = replace(stored, collapse={**stored.collapse, "oldest_version": version})
    heir.resume(replace(snapshot, learner=encode_learner(snapshot.head, changed)))
    return heir


@pytest.mark.parametrize("version", [2, 0])
def test_what_was_in_play_when_the_run_went_back_is_stale_and_no_fault_of_its_actor(version):
    state, played = gone_back(version), trajectory()
    assert state.standing.oldest_version == version
    header = make_header(1, 1, played.steps, played.episodes, created_ms=10**12)
    batcher = state.new_batcher()
    reason = None if version == 0 else "stale"
    assert state.rejection(header) == reason
    batcher.add(Entry("a", (7, 1), header, None if reason else played, reason), state.standing, 10**12)
    assert [why for _, why in batcher.rejected] == ([reason] if reason else [])
    commit, _ = state.commit(batcher, None, {"a"})
    assert commit.counters["stale"] == (version > 0)
    assert commit.stats["rejected_by_lag"] == "{}"
    assert state.standing.oldest_version == version


def test_moments_that_are_reset_are_kept_nowhere():
    state = RunState("x", SPEC, LearnerConfig())
    _, snapshot = state.first_version(Head(), 1)
    assert snapshot.restore_point
    state.forget_moments()
    commit, snapshot = state.commit(state.new_batcher(), None, ())
    assert (commit.restore_point, snapshot.restore_point, snapshot.learner_state().collapse) == (None, b"", {})
    commit, snapshot = state.commit(state.new_batcher(), {"policy_loss": 0.5}, ())
    assert commit.restore_point == snapshot.restore_point != b""
