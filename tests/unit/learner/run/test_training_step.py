"""What one training step takes into its batch, and what it says about it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.runs import SPEC, make_header, trajectory

from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.trainer import Trainer
from broodmind.learner.config import IntakeConfig
from broodmind.learner.ingest.batcher import Batcher
from broodmind.learner.ledger.head import Head, Standing
from broodmind.learner.ledger.stream_entry import Entry
from broodmind.learner.metrics.update_metrics import NonFinite
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


def test_it_trains_on_the_accepted_and_says_how_stale_they_were():
    step = train(Trainer(SPEC, PPOConfig(n_epochs=2)), a_batcher(20, 18, 16, 3), 20)
    assert [header.version for header, _ in step.trajectories] == [20, 18, 16]
    assert (step.steps, step.games) == (24, 3)
    assert (step.metrics["batch_steps"], step.metrics["batch_games"]) == (24, 3)
    assert (step.metrics["batch_staleness_p50"], step.metrics["batch_staleness_max"]) == (2, 4)
    assert step.metrics["sample_reuse"] == 2 * 24 / 32  # two epochs on three of four trajectories


def test_trajectories_stand_in_the_batch_by_actor_and_id_however_they_arrived():
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
