"""Steps that are too stale to train on: gone for algorithms that bootstrap, of weight 0 in whole games."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from broodmind.common.actions import Discrete
from broodmind.common.spec import GameSpec, NetworkSpec, RunSpec
from broodmind.common.wire.entry_header import Episodes
from broodmind.common.wire.trajectory import Trajectory
from broodmind.common.wire.weights import decode_weights, digest
from broodmind.learner.algorithms.batch import collate
from broodmind.learner.algorithms.impact.config import ImpactConfig
from broodmind.learner.algorithms.learning_rate import LearningRateConfig
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.algorithms.reinforce.update import Reinforce
from broodmind.learner.algorithms.trainer import Trainer
from broodmind.learner.algorithms.vtrace_actor_critic.config import VTraceConfig
from broodmind.learner.maths.flat_parameters import Parameters
from broodmind.learner.maths.optimizers import SGD
from broodmind.learner.maths.returns import discounted_returns

SPEC = RunSpec(GameSpec("stale", (3,), Discrete(4)), NetworkSpec((6,), normalize_observations=True))
# In one minibatch the order of the steps plays no part.
PLAIN = {"minibatch_size": 1000, "schedule": LearningRateConfig(), "optimizer": "sgd"}
FRAGMENTS = {"ppo": PPOConfig(**PLAIN), "impact": ImpactConfig(**PLAIN), "vtrace": VTraceConfig(**PLAIN)}


def game(seed, steps=9):
    """A whole game."""
    rng = np.random.default_rng(seed)
    terminated = np.zeros((steps, 1), np.bool_)
    terminated[-1] = True
    return Trajectory(
        observations=rng.standard_normal((steps + 1, 1, 3)).astype(np.float32),
        actions=rng.integers(0, 4, (steps, 1)).astype(np.int32),
        log_probs=np.log(rng.uniform(0.2, 0.9, (steps, 1))).astype(np.float32),
        rewards=rng.standard_normal((steps, 1)).astype(np.float32),
        terminated=terminated,
        truncated=np.zeros((steps, 1), np.bool_),
        valid=np.ones((steps, 1), np.bool_),
        episodes=Episodes((1.0,), (steps,), (0,)),
    )


def part(played, first, last):
    """The steps from `first` to before `last` as a trajectory of their own."""
    steps = slice(first, last)
    cut = {
        name: getattr(played, name)[steps] for name in ("actions", "log_probs", "rewards", "terminated", "truncated")
    }
    ended = last == len(played.actions)
    return replace(
        played,
        **cut,
        observations=played.observations[first : last + 1],
        valid=played.valid[steps],
        episodes=played.episodes if ended else Episodes(),
    )


def only(*steps):
    """A column of nine steps of which only these are fresh."""
    fresh = np.zeros((9, 1), np.bool_)
    fresh[list(steps)] = True
    return fresh


def moved_by(algo, batch):
    """All parameters after one update, and its metrics."""
    trainer = Trainer(SPEC, FRAGMENTS[algo])
    metrics = trainer.update(batch)
    weights = trainer.weights()
    return {**decode_weights(weights, digest(weights), SPEC), "metrics": np.array(list(metrics.values()))}


def assert_same(found, expected):
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("algo", FRAGMENTS)
def test_a_game_whose_first_steps_are_stale_trains_as_the_rest_of_it(algo):
    played, other = game(1), game(2)
    found = moved_by(algo, collate([played, other], [only(*range(4, 9)), None]))
    assert_same(found, moved_by(algo, collate([part(played, 4, 9), other])))
    with pytest.raises(AssertionError):
        assert_same(found, moved_by(algo, collate([played, other])))


@pytest.mark.parametrize("algo", FRAGMENTS)
def test_stale_steps_in_the_middle_cut_a_game_where_it_is_bootstrapped(algo):
    """Before them stands a fragment that ends with the value of its last observation."""
    played = game(3)
    found = moved_by(algo, collate([played], [only(0, 1, 2, 7, 8)]))
    assert_same(found, moved_by(algo, collate([part(played, 0, 3), part(played, 7, 9)])))


def test_what_stands_beside_a_game_with_stale_steps_is_all_trained_on():
    batch = collate([game(1), game(2, steps=4), game(3)], [None, None, only(8)])
    assert batch.steps == 9 + 4 + 1
    assert np.count_nonzero(batch.valid) == 9 + 4 + 9
    assert np.count_nonzero(batch.without_stale_steps().valid) == 14


def test_a_batch_without_stale_steps_has_no_mask():
    batch = collate([game(1)], [None])
    assert batch.fresh is None
    assert batch.trained is batch.valid
    assert batch.without_stale_steps() is batch


@pytest.mark.parametrize("importance", ["none", "step", "game"])
def test_reinforce_has_no_gradient_from_stale_steps_and_keeps_their_game(importance):
    """Without a baseline the update is a sum over steps, so that of a part of the steps is what the others leave."""
    config = ReinforceConfig(
        baseline="none", importance=importance, optimizer="sgd", max_grad_norm=1e9, entropy_coef=0.02, popart=0.0
    )
    played, masks = [game(1), game(2)], [only(0, 1, 2), only(3, 4, 5, 6, 7, 8)]
    spec = replace(SPEC, network=NetworkSpec((6,)))

    def moved(fresh):
        params = Parameters(spec.network, spec.game, np.float64)
        params.flat[...] = np.random.default_rng(4).normal(0, 0.5, params.flat.size)
        before = params.flat.copy()
        Reinforce(config, spec).update(
            params, SGD(params.flat.size), collate(played, fresh), 0.1, np.random.default_rng(0)
        )
        return params.flat - before

    one, rest = moved(masks), moved([~mask for mask in masks])
    np.testing.assert_allclose(one + rest, moved([None, None]), rtol=1e-6, atol=1e-9)
    assert np.abs(one).max() > 1e-4


def test_reinforce_discounts_through_stale_steps():
    played, other = game(5), game(6)
    batch = collate([other, played], [only(0), only(1)])
    spec = replace(SPEC, network=NetworkSpec((6,)))
    params = Parameters(spec.network, spec.game, np.float64)
    metrics = Reinforce(ReinforceConfig(baseline="batch_mean"), spec).update(
        params, SGD(params.flat.size), batch, 0.1, np.random.default_rng(0)
    )
    first = discounted_returns(other.rewards, other.valid, 0.99)[0, 0]
    second = discounted_returns(played.rewards, played.valid, 0.99)[1, 0]
    assert metrics["baseline"] == pytest.approx(float(first + second) / 2)  # each is the other's
