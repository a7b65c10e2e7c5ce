import numpy as np
import pytest

from broodmind.actors.inference.exploration_noise import CorrelatedNoise
from broodmind.actors.inference.policy import Policy
from broodmind.common.actions import Box
from broodmind.common.errors import ConfigError
from broodmind.common.policy.distributions import Gaussian
from broodmind.common.policy.network import LOG_STD, initial_params
from broodmind.common.spec import GameSpec, RolloutSpec, RunSpec
from broodmind.common.wire.weights import Pointer

SPEC = RunSpec(GameSpec("numbers", (3,), Box((-1.0, -2.0), (1.0, 2.0))))


def series(correlation, steps=20_000):
    noise, rng = CorrelatedNoise(correlation), np.random.default_rng(1)
    return np.stack([noise.draw((4, 2), rng) for _ in range(steps)])


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_each_value_alone_is_standard_normal(correlation):
    values = series(correlation)
    assert values.dtype == np.float32
    assert values.mean() == pytest.approx(0, abs=0.03)
    assert values.std() == pytest.approx(1, abs=0.03)
    assert (values**4).mean() == pytest.approx(3, abs=0.2)
    assert values[0].std() > 0.3  # from the first step on: it does not start from rest


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_values_some_steps_apart_correlate_by_the_power_of_the_steps(lag):
    values = series(0.9)
    assert (values[lag:] * values[:-lag]).mean() == pytest.approx(0.9**lag, abs=0.03)


def test_the_noise_of_columns_and_action_components_is_independent():
    values = series(0.9).reshape(-1, 8)
    assert np.abs(np.corrcoef(values.T) - np.eye(8)).max() < 0.1


def policy():
    params = initial_params(SPEC.network, SPEC.game, np.random.default_rng(2))
    params[LOG_STD][...] = np.log(0.3), np.log(2)
    return Policy(Pointer(1, 1, "c", "d", 0), params, SPEC)


def test_a_policy_samples_with_the_noise_and_gives_its_own_log_probabilities():
    observations = np.random.default_rng(3).standard_normal((5, 3)).astype(np.float32)
    noise, twin = CorrelatedNoise(0.9), CorrelatedNoise(0.9)
    rng, twin_rng = np.random.default_rng(4), np.random.default_rng(4)
    for _ in range(3):
        actions, log_probs = policy().act(observations, None, rng, noise)
        means, drawn = policy().best(observations, None), twin.draw((5, 2), twin_rng)
        np.testing.assert_allclose(actions, means + drawn * np.float32([0.3, 2]), rtol=1e-5, atol=1e-6)
        expected = Gaussian(means, np.log(np.float32([0.3, 2]))).log_prob(actions)
        np.testing.assert_allclose(log_probs, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("correlation", [-0.1, 1.0, float("nan")])
def test_an_invalid_correlation_is_refused(correlation):
    with pytest.raises(ConfigError, match="noise_correlation"):
        RolloutSpec(noise_correlation=correlation)
