"""The unit of the rewards decides nothing: in cents or in millions, an algorithm makes the same updates.

All rewards times a constant make returns, values, advantages and targets so many times larger. With default settings
the parameters are then the same after every update: those of the policy, and those of the value function, whose outputs
are in deviations of the targets. A power of two changes no digit of a number, so the parameters are equal bit for bit;
any other factor rounds the rewards, and these few digits grow from update to update.
"""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.common.actions import Discrete
from broodmind.common.spec import GameSpec, NetworkSpec, RunSpec
from broodmind.common.wire.weights import decode_weights, digest
from broodmind.learner.algorithms.batch import Batch
from broodmind.learner.algorithms.impact.config import ImpactConfig
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.algorithms.trainer import Trainer
from broodmind.learner.algorithms.vtrace_actor_critic.config import VTraceConfig

FEATURES, ACTIONS, STEPS, GAMES, UPDATES = 3, 4, 12, 48, 6
CONFIGS = {
    "ppo": PPOConfig(),
    "ppo-decoupled": PPOConfig(decoupled=True),
    "impact": ImpactConfig(),
    "vtrace": VTraceConfig(),
    "reinforce": ReinforceConfig(),
    "reinforce-none": ReinforceConfig(baseline="none"),
    "reinforce-average": ReinforceConfig(baseline="moving_average"),
    "reinforce-value": ReinforceConfig(baseline="value"),
}
each_algorithm = pytest.mark.parametrize("name", CONFIGS)
own_and_shared = pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])


def usual(rng, shape, _number):
    return rng.normal(1.5, 1.0, shape)


def late_and_rare(rng, shape, number):
    """Nothing at all in the first batches, and then one step in fifty."""
    return np.where(rng.random(shape) < 0.02, 1.0, 0.0) * (number > 1)


def a_batch(seed, unit, rewards):
    """Whole games of up to 12 steps, with both ends."""
    rng = np.random.default_rng(seed)
    lengths, shape, steps = rng.integers(2, STEPS + 1, GAMES), (STEPS, GAMES), np.arange(STEPS)[:, None]
    ended, by_rules = steps == lengths - 1, rng.random(GAMES) < 0.5
    return Batch(
        observations=rng.normal(size=(STEPS + 1, GAMES, FEATURES)).astype(np.float32),
        actions=rng.integers(0, ACTIONS, shape, dtype=np.int32),
        log_probs=np.log(rng.uniform(0.15, 0.4, shape)).astype(np.float32),
        rewards=(unit * rewards(rng, shape, seed)).astype(np.float32),
        terminated=ended & by_rules,
        truncated=ended & ~by_rules,
        valid=steps < lengths,
        masks=None,
        games=GAMES,
    )


def after_updates(config, unit, *, shared=False, rewards=usual):
    """The parameters at the beginning and after each of a few updates."""
    spec = RunSpec(GameSpec("unit", (FEATURES,), Discrete(ACTIONS)), NetworkSpec((16, 16), shared=shared), seed=5)
    trainer, published = Trainer(spec, config), []
    for number in range(UPDATES + 1):
        weights = trainer.weights()
        published.append(decode_weights(weights, digest(weights), spec))
        trainer.update(a_batch(number, unit, rewards))
    return published


def distances(found, expected):
    """For each update: how far the parameters are from each other, as a share of how far the policy has come."""
    policy = [name for name in expected[0] if not name.startswith("value/")]
    moved = [max(np.abs(each[name] - expected[0][name]).max() for name in policy) for each in expected[1:]]
    apart = [
        max(np.abs(ours[name] - theirs[name]).max() for name in theirs)
        for ours, theirs in zip(found[1:], expected[1:], strict=True)
    ]
    assert moved[-1] > 1e-2, "updates that move nothing prove nothing"
    return np.array(apart) / np.array(moved)


@each_algorithm
@own_and_shared
@pytest.mark.parametrize("power", [-13, 10, 27])  # 1e-4, 1000 and 1e8, nearly
def test_rewards_in_a_unit_of_a_power_of_two_make_the_same_updates_bit_for_bit(power, shared, name):
    expected = after_updates(CONFIGS[name], 1.0, shared=shared)
    found = after_updates(CONFIGS[name], 2.0**power, shared=shared)
    assert distances(found, expected).max() == 0


@each_algorithm
@pytest.mark.parametrize("unit", [1e-4, 1e3, 1e8])
def test_rewards_in_any_unit_make_the_same_updates_but_for_rounding(unit, name):
    expected, found = after_updates(CONFIGS[name], 1.0), after_updates(CONFIGS[name], unit)
    assert distances(found, expected).max() < 0.01


@each_algorithm
@pytest.mark.parametrize("unit", [2.0**-13, 2.0**27])
def test_so_do_rewards_that_come_late_and_rarely(unit, name):
    """Nothing tells the unit of rewards that are all 0."""
    expected, found = (after_updates(CONFIGS[name], each, rewards=late_and_rare) for each in (1.0, unit))
    assert distances(found, expected).max() == 0
