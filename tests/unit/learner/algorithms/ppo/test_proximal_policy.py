"""The proximal policy: a moving average of the weights."""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.common.actions import Discrete
from broodmind.common.spec import GameSpec, NetworkSpec
from broodmind.learner.algorithms.ppo.proximal_policy import ProximalPolicy
from broodmind.learner.maths.flat_parameters import Parameters

NETWORK, GAME = NetworkSpec((5,)), GameSpec("averaged", (3,), Discrete(4))


def random_params(rng):
    params = Parameters(NETWORK, GAME, np.float64)
    params.flat[...] = rng.normal(size=params.flat.size)
    return params


def test_before_the_first_step_the_proximal_policy_is_the_policy_itself():
    params = random_params(np.random.default_rng(1))
    assert ProximalPolicy(3.0).or_else(params) is params


@pytest.mark.parametrize("mass", [0.0, 3.0])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_proximal_policy_is_the_bias_corrected_exponential_average_of_the_weights(steps, mass):
    rng, proximal, seen = np.random.default_rng(2), ProximalPolicy(mass), []
    for _ in range(steps):
        params = random_params(rng)
        proximal.follow(params)
        seen.append(params.flat)
    decay = mass / (mass + 1)  # whose centre of mass, decay / (1 - decay), is the one asked for
    weights = decay ** np.arange(steps)[::-1]
    found = proximal.or_else(random_params(rng)).flat
    np.testing.assert_allclose(found, weights @ np.array(seen) / weights.sum(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("steps", [0, 3])
def test_a_restored_average_continues_bit_for_bit(steps):
    rng, first, second = np.random.default_rng(3), ProximalPolicy(3.0), ProximalPolicy(3.0)
    second.follow(random_params(rng))  # is overwritten
    for _ in range(steps):
        first.follow(random_params(rng))
    state, params = first.state(), random_params(rng)
    first.follow(random_params(np.random.default_rng(4)))  # the state is a copy
    second.restore(state, params)
    assert second.state()["proximal"].size == (params.flat.size if steps else 0)
    second.follow(random_params(np.random.default_rng(4)))
    np.testing.assert_array_equal(second.or_else(params).flat, first.or_else(params).flat)
