"""The value function of every algorithm after training, against the closed form of two small games.

Both pay 1 a step, and gamma is 0.9. One shows the same observation for ever and is cut off after 5 steps: its value is
1 / (1 - 0.9) = 10. The other shows the number of the step and is over by its rules after 5: k steps before its end the
value is (1 - 0.9^k) / (1 - 0.9). No action is better than another: a rate that follows how far the policy moves must
not ruin the value function meanwhile.
"""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.common.actions import Discrete
from broodmind.common.policy.distributions import distribution
from broodmind.common.policy.network import policy_outputs, value_outputs
from broodmind.common.spec import GameSpec, NetworkSpec, RunSpec
from broodmind.common.wire.weights import decode_weights, digest
from broodmind.learner.algorithms.batch import Batch
from broodmind.learner.algorithms.registry import ALGORITHMS, config_class
from broodmind.learner.algorithms.trainer import Trainer
from broodmind.learner.maths.popart import ValueScale

GAMMA, STEPS, GAMES, UPDATES = 0.9, 5, 16, 500
RATE = 0.01
SPEC = RunSpec(GameSpec("paying", (1,), Discrete(2)), NetworkSpec((16,)), seed=3)
CUT, OVER = [10.0], [(1 - GAMMA**left) / (1 - GAMMA) for left in range(STEPS, 0, -1)]
NEED = {"reinforce": {"baseline": "value"}}  # what an algorithm needs to have a value function


def games(params, rng, *, cut):
    """A batch that the policy itself has played."""
    observations = np.ones((STEPS + 1, GAMES, 1), np.float32)
    if not cut:
        observations *= np.arange(STEPS + 1, dtype=np.float32)[:, None, None] / STEPS
    shape = (STEPS, GAMES)
    ended = np.zeros(shape, np.bool_)
    ended[-1] = True
    rows = observations[:-1].reshape(-1, 1)
    policy = distribution(SPEC.game.actions, policy_outputs(params, SPEC.network, rows), None, None)
    actions = policy.sample(rng)
    return Batch(
        observations=observations,
        actions=actions.reshape(shape),
        log_probs=policy.log_prob(actions).reshape(shape),
        rewards=np.ones(shape, np.float32),
        terminated=ended & (not cut),
        truncated=ended & cut,
        valid=np.ones(shape, np.bool_),
        masks=None,
        games=GAMES,
    )


def published(trainer):
    weights = trainer.weights()
    return decode_weights(weights, digest(weights), SPEC)


def learnt_values(algo, *, cut):
    config = config_class(algo)(gamma=GAMMA, learning_rate=RATE, **NEED.get(algo, {}))
    trainer, rng = Trainer(SPEC, config), np.random.default_rng(4)
    for _ in range(UPDATES):
        batch = games(published(trainer), rng, cut=cut)
        trainer.update(batch)
    scale, state = ValueScale(0.0), trainer.state()["algorithm"]
    if "moments" in state:
        scale.restore(state)
    return scale.values(value_outputs(published(trainer), SPEC.network, batch.observations[:-1, 0]))


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_a_game_that_was_cut_off_has_the_value_of_one_that_goes_on(algo):
    np.testing.assert_allclose(learnt_values(algo, cut=True), CUT * STEPS, rtol=0.03)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_a_game_that_is_over_has_the_value_of_the_steps_that_are_left(algo):
    np.testing.assert_allclose(learnt_values(algo, cut=False), OVER, rtol=0, atol=0.1)
