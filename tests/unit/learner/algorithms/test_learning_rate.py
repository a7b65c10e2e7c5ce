"""The learning rate: by the batch, by its age, by the run's progress, by how far an update moved."""

import math

import numpy as np
import pytest

from broodmind.common.actions import Discrete
from broodmind.common.errors import ConfigError
from broodmind.common.spec import GameSpec, NetworkSpec, RunSpec
from broodmind.learner.algorithms.batch import Batch
from broodmind.learner.algorithms.learning_rate import (
    LearningRateConfig,
    batch_scale,
    follow_kl,
    schedule,
    stale_weights,
)
from broodmind.learner.algorithms.registry import config_class, make_algorithm
from broodmind.learner.maths.flat_parameters import Parameters

STEPS = [1, 512, 2048, 4096, 100_000]


def test_by_default_nothing_changes_the_rate():
    config = LearningRateConfig()
    assert [batch_scale(config, steps) for steps in STEPS] == [1.0] * len(STEPS)
    assert stale_weights(config, np.array([0, 1, 64])).tolist() == [1.0] * 3
    assert [schedule(config, n, 1000 * n) for n in (0, 1, 10**6)] == [1.0] * 3
    assert [follow_kl(1.0, kl, config.kl_target) for kl in (0.0, 1.0, 1e9)] == [1.0] * 3


@pytest.mark.parametrize(("scaling", "power"), [("none", 0), ("linear", 1), ("sqrt", 0.5)])
@pytest.mark.parametrize("reference", [2048, 256])
def test_the_rate_follows_the_accepted_steps_by_a_power_of_their_ratio(scaling, power, reference):
    config = LearningRateConfig(learning_rate_scaling=scaling, reference_steps=reference)
    for steps in STEPS:
        assert batch_scale(config, steps) == pytest.approx((steps / reference) ** power, rel=1e-12)
    assert batch_scale(config, reference) == 1.0


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0.5, [1, 0.5, 0.25, 0.125, 0.0625, 0.0625, 0.0625]),
        (0.9, [1, 0.9, 0.81, 0.729, 0.9**4, 0.9**5, 0.0625]),
        (0.01, [1, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01]),
        (1.0, [1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_a_step_weighs_less_by_a_factor_for_each_version_of_its_age(factor, expected):
    ages = np.array([[0, 1], [2, 3], [4, 5], [64, 0]], np.int32)
    found = stale_weights(LearningRateConfig(stale_factor=factor), ages)
    assert found.shape == ages.shape
    assert found.ravel().tolist() == pytest.approx([*expected, 1.0])


def test_the_rate_rises_linearly_over_the_warm_up_from_the_first_step_of_it():
    config = LearningRateConfig(warmup_updates=4)
    assert [schedule(config, n, 0) for n in range(7)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]
    assert schedule(LearningRateConfig(warmup_updates=1), 0, 0) == 1.0


def test_the_rate_falls_linearly_to_zero_and_stays_there():
    config = LearningRateConfig(anneal_steps=1000)
    assert [schedule(config, 5, steps) for steps in (0, 250, 999, 1000, 5000)] == pytest.approx([1, 0.75, 0.001, 0, 0])
    assert schedule(config, 5, 5000) == 0.0


def test_warm_up_and_annealing_multiply():
    assert schedule(LearningRateConfig(warmup_updates=10, anneal_steps=100), 4, 40) == pytest.approx(0.5 * 0.6)


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        (0.0, 3.0),
        (0.0039, 3.0),
        (0.004, 2.0),  # half the target: near enough
        (0.008, 2.0),
        (0.016, 2.0),  # twice the target: still
        (0.0161, 2 / 1.5),
        (5.0, 2 / 1.5),
    ],
)
def test_the_factor_follows_the_divergence(kl, expected):
    assert follow_kl(2.0, kl, 0.008) == pytest.approx(expected, rel=1e-12)


def test_the_factor_stays_within_its_bounds_and_can_leave_them_again():
    low = high = 1.0
    for _ in range(100):
        low, high = follow_kl(low, 1.0, 0.01), follow_kl(high, 0.0, 0.01)
        assert 1 / 64 <= low <= 1 <= high <= 4
    assert (low, high) == (1 / 64, 4.0)
    assert follow_kl(low, 0.0, 0.01) == pytest.approx(1.5 / 64)
    assert follow_kl(high, 1.0, 0.01) == pytest.approx(4 / 1.5)


def test_without_a_kl_target_the_factor_returns_to_1():
    assert follow_kl(7.0, 1.0, 0.0) == 1.0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"learning_rate_scaling": "cubic"}, "learning_rate_scaling: 'cubic'"),
        ({"stale_factor": 0.0}, "stale_factor: 0.0"),
        ({"stale_factor": -0.5}, "stale_factor: -0.5"),
        ({"stale_factor": 1.5}, "stale_factor: 1.5"),
        ({"stale_factor": math.nan}, "stale_factor: nan"),
    ],
)
def test_an_invalid_learning_rate_setting_is_named_in_the_error(wrong, says):
    with pytest.raises(ConfigError, match=f"^{says}, expected"):
        LearningRateConfig(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"reference_steps": 0},
        {"reference_steps": -1},
        {"warmup_updates": -5},
        {"anneal_steps": -1},
        {"kl_target": -0.1},
    ],
)
def test_learning_rate_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError):
        LearningRateConfig(**wrong)


# The figure that is reported.

SPEC = RunSpec(GameSpec("rates", (3,), Discrete(4)), NetworkSpec((6, 5)))
OPTIONS = {
    "reinforce": {"importance": "none"},
    "reinforce by step": {"mean_over": "steps"},
    "vtrace": {"minibatch_size": 8, "n_epochs": 3},
    "ppo": {"minibatch_size": 8, "n_epochs": 3},
}
LIMITS = [1e9, 0.3, 0.02]  # of the gradient's norm: never clipped, some, all


class WatchingSGD:
    """Plain SGD, and the norms of the moves that it made of some of the parameters."""

    def __init__(self, watched):
        self._watched, self.moves = watched, []

    def step(self, params, gradient, rate):
        before = np.concatenate(self._watched)
        params -= rate * gradient
        self.moves.append(float(np.linalg.norm(np.concatenate(self._watched) - before)))


def a_batch(games=6, steps=7):
    rng = np.random.default_rng(1)
    shape = (steps, games)
    ended = np.zeros(shape, np.bool_)
    ended[-1] = True
    return Batch(
        observations=rng.normal(size=(steps + 1, games, 3)),
        actions=rng.integers(0, 4, shape, dtype=np.int32),
        log_probs=np.log(rng.uniform(0.1, 0.4, shape)),
        rewards=rng.normal(1, 2, shape),
        terminated=ended,
        truncated=~ended & ended,
        valid=np.ones(shape, np.bool_),
        masks=None,
        games=games,
    )


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("name", OPTIONS)
def test_the_effective_rate_is_what_plain_sgd_multiplied_the_gradient_by(name, limit):
    """The norms of the moves, to those of the gradients: moves that are not clipped, at a rate of 1.

    The rates are so small that a move does not change the next gradient.
    """
    batch, moves, reported = a_batch(), {}, {}
    for rate, max_norm in ((1e-9, limit), (1e-9, 1e30)):
        algorithm = make_algorithm(
            config_class(name.split()[0])(max_grad_norm=max_norm, entropy_coef=0.3, **OPTIONS[name]), SPEC
        )
        params = Parameters(SPEC.network, SPEC.game, np.float64)
        sgd = WatchingSGD(params.apart[0])  # the policy's
        params.flat[...] = np.random.default_rng(2).normal(0, 0.7, params.flat.size)
        reported[max_norm] = algorithm.update(params, sgd, batch, rate, np.random.default_rng(3))["effective_rate"]
        moves[max_norm] = np.array(sgd.moves)
    summed_over = {"reinforce": batch.games, "reinforce by step": batch.steps}.get(name, 1)
    gradients = moves[1e30] / 1e-9
    assert reported[limit] * summed_over == pytest.approx((moves[limit] / gradients).mean(), rel=1e-3)
    assert reported[1e30] * summed_over == pytest.approx(1e-9)
    if limit == min(LIMITS):
        assert reported[limit] < reported[1e30] / 4


def test_the_mean_over_steps_is_the_mean_over_games_in_other_units():
    """Of games of one length: with equal rates of a step, both move the parameters by as much."""
    batch, moved = a_batch(), []
    for mean_over, rate in (("games", 0.1), ("steps", 0.1 * batch.steps / batch.games)):
        algorithm = make_algorithm(config_class("reinforce")(max_grad_norm=1e30, mean_over=mean_over), SPEC)
        params = Parameters(SPEC.network, SPEC.game, np.float64)
        params.flat[...] = np.random.default_rng(2).normal(0, 0.7, params.flat.size)
        algorithm.update(params, WatchingSGD([params.flat]), batch, rate, np.random.default_rng(3))
        moved.append(params.flat)
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-9)
