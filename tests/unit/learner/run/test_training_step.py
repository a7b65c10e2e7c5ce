"""What one training step takes into its batch, and what it says about it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.runs import SPEC, make_header, trajectory

from broodmind.common.server.server_clock import ServerClock
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.algorithms.trainer import Trainer
from broodmind.learner.config import IntakeConfig, LearnerConfig
from broodmind.learner.ingest.batcher import Batcher
from broodmind.learner.ledger.head import Head, Standing
from broodmind.learner.ledger.stream_entry import Entry
from broodmind.learner.metrics.update_metrics import NonFinite
from broodmind.learner.run.run_state import RunState
from broodmind.learner.run.training_step import train

NOW = 1_700_000_000_000
STANDING = Standing(Head(1, 20, "c20"))


def a_batcher(*versions, rewards=None, imported=False):
    made = Batcher(IntakeConfig(max_staleness=4), {})
    for sequence, version in enumerate(versions, 1):
        played = trajectory(sequence)
        played = played if rewards is None else replace(played, rewards=np.full_like(played.rewards, rewards))
        header = make_header(version, 1, played.steps, played.episodes, NOW, imported=imported)
        made.add(Entry("a", (1, sequence), header, played), STANDING, NOW)
    return made


def test_a_step_trains_on_the_accepted_entries_and_reports_their_staleness():
    step = train(Trainer(SPEC, PPOConfig(n_epochs=2)), a_batcher(20, 18, 16, 3), 20)
    assert [header.version for header, _ in step.trajectories] == [20, 18, 16]
    assert (step.steps, step.games) == (24, 3)
    assert (step.metrics["batch_steps"], step.metrics["batch_games"]) == (24, 3)
    assert (step.metrics["batch_staleness_p50"], step.metrics["batch_staleness_max"]) == (2, 4)
    assert step.metrics["sample_reuse"] == 2 * 24 / 32  # two epochs on three of four trajectories


def test_trajectories_are_ordered_by_actor_and_id_in_the_batch():
    batcher = a_batcher(20, 20, 20)
    batcher.accepted.reverse()
    step = train(Trainer(SPEC, PPOConfig()), batcher, 20)
    np.testing.assert_array_equal(step.trajectories[0][1].rewards, trajectory(1).rewards)


def test_an_update_that_is_not_finite_changes_nothing():
    trainer = Trainer(SPEC, PPOConfig())
    before = trainer.weights()
    with pytest.raises(NonFinite):
        train(trainer, a_batcher(20, rewards=np.inf), 20)
    assert trainer.weights() == before


def test_staleness_is_counted_by_step_and_steps_that_are_too_stale_are_not_trained_on():
    played = trajectory()  # [4, 2]
    offsets = np.array([[0, 1], [2, 3], [4, 4], [6, 6]], np.int32)
    header = replace(make_header(14, 1, played.steps, played.episodes, NOW), versions=(14, 20), commits=("", ""))
    batcher = Batcher(IntakeConfig(max_staleness=4), {})
    batcher.add(Entry("a", (1, 1), header, replace(played, version_offsets=offsets)), STANDING, NOW)
    batcher.add(Entry("b", (1, 1), make_header(20, 1, 8, played.episodes, NOW), played), STANDING, NOW)
    step = train(Trainer(SPEC, PPOConfig(n_epochs=1)), batcher, 20)
    assert step.staleness == [[(4, 1), (3, 1), (2, 2), (0, 2)], [(0, 8)]]
    assert (step.steps, step.stale_steps, step.games) == (14, 2, 2)
    assert (step.metrics["batch_steps"], step.metrics["batch_staleness_max"]) == (14, 4)
    assert step.metrics["batch_staleness_p50"] == 0
    assert step.metrics["batch_staleness_p95"] == 4
    assert step.metrics["sample_reuse"] == 14 / 16


@pytest.mark.parametrize("config", [PPOConfig(), ReinforceConfig()])
def test_the_batch_says_how_many_versions_ago_each_step_was_played(monkeypatch, config):
    batches, played = [], trajectory()
    monkeypatch.setattr(Trainer, "update", lambda _, batch: batches.append(batch) or {})
    offsets = np.array([[0, 1], [2, 3], [4, 4], [6, 6]], np.int32)
    header = replace(make_header(14, 1, played.steps, played.episodes, NOW), versions=(14, 20), commits=("", ""))
    batcher = Batcher(IntakeConfig(max_staleness=4), {})
    batcher.add(Entry("a", (1, 1), header, replace(played, version_offsets=offsets)), STANDING, NOW)
    batcher.add(Entry("b", (1, 1), make_header(20, 1, 8, played.episodes, NOW), played), STANDING, NOW)
    train(Trainer(SPEC, config), batcher, 20)
    assert batches[0].ages.T.tolist() == [[6, 4, 2, 0], [5, 3, 2, 0], [0] * 4, [0] * 4]
    assert batches[0].steps == 14
    assert np.count_nonzero(batches[0].valid) == 16


def test_a_commit_counts_the_steps_that_were_too_stale_apart_and_the_limit_follows_the_games():
    played = trajectory()
    state = RunState("x", SPEC, LearnerConfig(intake=IntakeConfig()), ServerClock(lambda: NOW))
    state.first_version(Head(), 1)
    for _ in range(19):
        state.commit(state.new_batcher(), {}, ())
    assert state.head.version == 20
    offsets = np.array([[0, 1], [2, 3], [4, 4], [6, 6]], np.int32)
    header = replace(make_header(14, 1, 8, played.episodes, NOW), versions=(14, 20), commits=("", ""))
    batcher = state.new_batcher()
    batcher.add(Entry("a", (1, 1), header, replace(played, version_offsets=offsets)), state.standing, NOW)
    commit, _ = state.commit(batcher, state.train(batcher), {"a"})
    assert {name: commit.counters[name] for name in ("accepted", "steps", "stale_steps", "games", "stale")} == {
        "accepted": 1,
        "steps": 6,
        "stale_steps": 2,
        "games": 1,
        "stale": 0,
    }
    assert state.standing.max_staleness == 4 + 6  # so many versions passed during the game
