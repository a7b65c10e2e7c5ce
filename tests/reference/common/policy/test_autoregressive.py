"""The density given the past against the joint density of a game's actions, and its gradient against differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.finite_differences import differences

from broodmind.common.policy.autoregressive import AutoregressiveGaussian
from broodmind.common.policy.distributions import Gaussian
from broodmind.learner.maths.losses import to_outputs

STEPS, DIMS = 7, 2
CORRELATIONS = pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.99])


def a_game(seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(STEPS, DIMS)), np.array([-0.7, 0.4]), rng.normal(size=(STEPS, DIMS))


def given_the_past(means, log_std, actions, correlation, dtype=np.float64):
    """The distributions of a game's actions, each given the ones before."""
    means, actions, log_std = means.astype(dtype), actions.astype(dtype), log_std.astype(dtype)
    deviations = np.full_like(means, np.nan)  # of the first step, which has none before it
    deviations[1:] = (actions - means)[:-1]
    return AutoregressiveGaussian(Gaussian(means, log_std), deviations, np.arange(STEPS) > 0, correlation)


def joint_log_density(means, log_std, actions, correlation):
    """Of all actions of a game: the noise of steps i and j has the covariance sigma^2 rho^|i - j|."""
    steps = np.arange(STEPS)
    total = 0.0
    for dimension in range(DIMS):
        covariance = math.exp(2 * log_std[dimension]) * correlation ** np.abs(steps[:, None] - steps).astype(float)
        gone = actions[:, dimension] - means[:, dimension]
        _, log_determinant = np.linalg.slogdet(2 * math.pi * covariance)
        total += -0.5 * (gone @ np.linalg.solve(covariance, gone) + log_determinant)
    return total


@CORRELATIONS
def test_the_log_densities_of_a_games_steps_add_up_to_the_joint_one(correlation):
    means, log_std, actions = a_game()
    found = given_the_past(means, log_std, actions, correlation).log_prob(actions)
    assert found.shape == (STEPS,)
    assert found.sum() == pytest.approx(joint_log_density(means, log_std, actions, correlation), rel=1e-10)
    single = given_the_past(means, log_std, actions, correlation, np.float32)
    np.testing.assert_allclose(single.log_prob(actions.astype(np.float32)), found, rtol=1e-4, atol=1e-4)
    assert single.log_prob(actions.astype(np.float32)).dtype == np.float32


@CORRELATIONS
def test_samples_have_the_mean_and_the_deviation_of_the_density(correlation):
    means, log_std, actions = a_game(2)
    choice = given_the_past(means, log_std, actions, correlation)
    drawn = np.stack([choice.sample(np.random.default_rng(seed)) for seed in range(4000)])
    assert drawn.dtype == np.float32
    expected = means.copy()
    expected[1:] += correlation * (actions - means)[:-1]
    deviation = np.exp(log_std) * np.ones((STEPS, 1))
    deviation[1:] *= math.sqrt(1 - correlation**2)
    np.testing.assert_allclose((drawn.mean(axis=0) - expected) / deviation, 0, atol=0.08)
    np.testing.assert_allclose(drawn.std(axis=0) / deviation, 1, atol=0.05)
    np.testing.assert_allclose(choice.best(), expected, rtol=1e-6, atol=1e-6)
    # 0.5 ln(2 pi e sigma^2) of each number
    entropies = (0.5 * np.log(2 * math.pi * math.e * deviation**2)).sum(axis=1)
    np.testing.assert_allclose(choice.entropy(), entropies, rtol=1e-12)


@CORRELATIONS
def test_the_gradient_equals_central_differences(correlation):
    means, log_std, actions = a_game(3)
    weights, bonus = np.random.default_rng(4).normal(size=STEPS), 0.3

    def loss():
        # The means given the past, as a loss of their own: the chain to both means is in PolicyPass.
        choice = given_the_past(means, log_std, actions, correlation)
        choice.means = conditional
        return float((weights * choice.log_prob(actions)).sum() - bonus * choice.entropy().sum())

    choice = given_the_past(means, log_std, actions, correlation)
    conditional = choice.means.copy()
    found, log_std_grad = to_outputs(choice, actions, weights, bonus)
    np.testing.assert_allclose(found, differences(loss, conditional), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(log_std_grad, differences(loss, log_std), rtol=1e-5, atol=1e-6)
