"""Noise that lasts: what it is, where it starts anew, and that the log-probabilities are of what was drawn anew."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.drift import DRIFT, moved, seen

from broodmind.actors.inference.exploration_noise import CorrelatedNoise, PerEpisodeNoise, draw, make_noise
from broodmind.actors.inference.policy import Policy
from broodmind.common.errors import ConfigError
from broodmind.common.policy.distributions import Gaussian
from broodmind.common.policy.network import LOG_STD, initial_params
from broodmind.common.spec import NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.weights import Pointer

SPEC = RunSpec(DRIFT, NetworkSpec((16,)))
STANDARD = Gaussian(np.zeros((4, 2), np.float32), np.zeros(2, np.float32))
DEVIATIONS = np.float32([0.3, 2])


def series(correlation, steps=20_000):
    noise, rng = CorrelatedNoise(correlation), np.random.default_rng(1)
    return np.stack([draw(noise, STANDARD, rng)[0] for _ in range(steps)])


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
    params["policy/w1"] *= 30  # means that depend on what is seen
    params[LOG_STD][...] = np.log(DEVIATIONS)
    return Policy(Pointer(1, 1, "c", "d", 0), params, SPEC)


def play(noise, steps, games=50):
    """Play games in which the actions shape what is seen: observations, and noise and log-probabilities of actions."""
    rng, plays = np.random.default_rng(3), policy()
    position, age = np.zeros((games, 2)), np.zeros(games)
    record = []
    for _ in range(steps):
        observations = seen(position, age)
        actions, log_probs = plays.act(observations, None, rng, noise)
        record.append((observations, (actions - plays.best(observations, None)) / DEVIATIONS, log_probs))
        position = moved(position, actions)
    return [np.stack(each) for each in zip(*record, strict=True)]


def explained(targets, *predictors):
    """The share of the variance of targets [N] that a linear regression on predictors [N, ...] explains."""
    inputs = np.column_stack([np.ones(len(targets)), *(each.reshape(len(targets), -1) for each in predictors)])
    residuals = targets - inputs @ np.linalg.lstsq(inputs, targets)[0]
    return 1 - residuals.var() / targets.var()


@pytest.mark.parametrize("correlation", [0.5, 0.9])
def test_the_past_predicts_the_noise_but_not_what_the_log_probabilities_are_of(correlation):
    observations, noise, log_probs = play(CorrelatedNoise(correlation), 200)
    now, before = slice(2, None), slice(1, -1)  # of steps
    past = (observations[now], observations[before], noise[before], noise[:-2])
    past = [each.reshape(-1, each.shape[-1]) for each in past]
    fresh = (noise[now] - correlation * noise[before]) / math.sqrt(1 - correlation**2)
    for dimension in range(2):
        assert explained(noise[now][..., dimension].ravel(), past[0]) > 0.1  # the observation alone
        assert explained(noise[now][..., dimension].ravel(), *past) > 0.9 * correlation**2
        assert explained(fresh[..., dimension].ravel(), *past) < 0.005
        assert fresh[..., dimension].std() == pytest.approx(1, abs=0.02)
    # -e^2 / 2 - ln(sigma sqrt(1 - rho^2) sqrt(2 pi)) of each number
    scales = np.log(DEVIATIONS * math.sqrt(1 - correlation**2) * math.sqrt(2 * math.pi)).sum()
    np.testing.assert_allclose(log_probs[now], -0.5 * (fresh**2).sum(axis=2) - scales, rtol=1e-3, atol=1e-3)


def plain_log_probs(noise):
    """Of independent draws."""
    return -0.5 * (noise**2).sum(axis=-1) - np.log(DEVIATIONS * math.sqrt(2 * math.pi)).sum()


def test_the_noise_starts_anew_where_a_fragment_begins():
    _, noise, log_probs = play(CorrelatedNoise(0.9, length=4), 12)
    begins = np.arange(12) % 4 == 0
    np.testing.assert_allclose(log_probs[begins], plain_log_probs(noise[begins]), rtol=1e-3, atol=1e-3)
    assert np.abs(log_probs[~begins] - plain_log_probs(noise[~begins])).min(axis=1).max() > 1e-3
    assert noise[begins].std() == pytest.approx(1, abs=0.15)


def test_the_noise_starts_anew_in_the_columns_of_new_games():
    noise, rng, plays = CorrelatedNoise(0.9), np.random.default_rng(5), policy()
    observations = np.random.default_rng(6).standard_normal((3, 3)).astype(np.float32)
    noise.restart(np.ones(3, np.bool_))  # before the first step there is nothing to forget
    plays.act(observations, None, rng, noise)
    noise.restart(np.array([False, True, False]))
    actions, log_probs = plays.act(observations, None, rng, noise)
    drawn = (actions - plays.best(observations, None)) / DEVIATIONS
    same = np.isclose(log_probs, plain_log_probs(drawn), atol=1e-4)
    assert same.tolist() == [False, True, False]


def test_what_is_no_number_does_not_last():
    noise = CorrelatedNoise(0.9)
    noise.follow(np.float32([[np.nan, 1], [1, 1]]))
    _, known = noise.previous((2, 2))
    assert known.tolist() == [False, True]


def test_each_episode_of_a_batch_goes_on_from_its_own_step():
    noises = [CorrelatedNoise(0.9), CorrelatedNoise(0.9, length=1), CorrelatedNoise(0.9)]
    noises[0].follow(np.float32([[1, 2]]))
    noises[1].follow(np.float32([[3, 4]]))
    together = PerEpisodeNoise(noises)
    deviations, known = together.previous((3, 2))
    assert known.tolist() == [True, False, False]
    assert deviations[0].tolist() == [1, 2]
    together.follow(np.float32([[5, 6], [7, 8], [9, 10]]))
    assert [noise.previous((1, 2))[0].tolist() for noise in noises] == [[[5, 6]], [[0, 0]], [[9, 10]]]


def test_the_noise_of_a_run_lasts_as_long_as_its_trajectories():
    assert make_noise(RolloutSpec()) is None
    assert make_noise(RolloutSpec("games")) is None
    for unroll, again in (("steps", False), ("games", True)):
        noise = make_noise(RolloutSpec(unroll, 3, noise_correlation=0.5))
        for _ in range(3):
            noise.follow(np.zeros((1, 2), np.float32))
        assert noise.previous((1, 2))[1].tolist() == [again]


@pytest.mark.parametrize("correlation", [-0.1, 1.0, float("nan")])
def test_an_invalid_correlation_is_refused(correlation):
    with pytest.raises(ConfigError, match="noise_correlation"):
        RolloutSpec(noise_correlation=correlation)
