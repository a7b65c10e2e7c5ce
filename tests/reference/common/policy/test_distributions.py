"""Several choices, and several numbers, against closed forms: by enumeration and by the normal curve of the library."""

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from support.finite_differences import differences

from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.policy.distributions import Categorical, Gaussian, MultiCategorical, distribution
from broodmind.learner.maths.losses import to_outputs

SAMPLES = 100_000
SIZES, DIMS, ROWS = (3, 2, 4), 3, 7
WIDTH = sum(SIZES)
EVERY = np.array(list(itertools.product(*map(range, SIZES))), np.int32)  # all 24 actions
ENDS = np.cumsum(SIZES)
with_and_without_masks = pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])


def some_masks(rng, actions):
    """Masks [N, WIDTH] that allow the actions [N, D]; in the first row nothing else."""
    masks = rng.random((len(actions), WIDTH)) < 0.5
    masks[0] = False
    for choice, start in enumerate(ENDS - SIZES):
        masks[np.arange(len(actions)), start + actions[:, choice]] = True
    return masks


def slow_joint(logits, masks):
    """The probability of each action of EVERY for one row: a product over the choices."""
    result = []
    for action in EVERY:
        probability = 1.0
        for choice, (end, size) in enumerate(zip(ENDS, SIZES, strict=True)):
            allowed = range(end - size, end) if masks is None else np.flatnonzero(masks[end - size : end]) + end - size
            at = end - size + action[choice]
            weights = {i: math.exp(logits[i]) for i in allowed}
            probability *= weights.get(at, 0.0) / sum(weights.values())
        result.append(probability)
    return np.array(result)


def a_multi_categorical(seed, *, masked, rows=ROWS):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, WIDTH))
    actions = np.stack([rng.integers(0, size, rows, dtype=np.int32) for size in SIZES], axis=1)
    return logits, some_masks(rng, actions) if masked else None, actions


@with_and_without_masks
def test_several_choices_have_the_product_of_their_probabilities(masked):
    logits, masks, _ = a_multi_categorical(1, masked=masked)
    for row in range(ROWS):
        mask = None if masks is None else np.repeat(masks[row : row + 1], len(EVERY), axis=0)
        choice = MultiCategorical(np.repeat(logits[row : row + 1], len(EVERY), axis=0), SIZES, mask)
        expected = slow_joint(logits[row], None if masks is None else masks[row])
        np.testing.assert_allclose(np.exp(choice.log_prob(EVERY)), expected, rtol=1e-12)
        assert expected.sum() == pytest.approx(1)


@with_and_without_masks
def test_the_entropy_of_several_choices_is_that_of_their_product(masked):
    logits, masks, _ = a_multi_categorical(2, masked=masked)
    joints = [slow_joint(logits[row], None if masks is None else masks[row]) for row in range(ROWS)]
    expected = [-sum(p * math.log(p) for p in joint if p) for joint in joints]
    found = MultiCategorical(logits, SIZES, masks).entropy()
    assert found.shape == (ROWS,)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@with_and_without_masks
def test_the_best_of_several_choices_is_the_most_probable_action(masked):
    logits, masks, _ = a_multi_categorical(3, masked=masked)
    best = MultiCategorical(logits, SIZES, masks).best()
    assert best.dtype == np.int32
    for row in range(ROWS):
        joint = slow_joint(logits[row], None if masks is None else masks[row])
        assert best[row].tolist() == EVERY[joint.argmax()].tolist()


@with_and_without_masks
def test_several_choices_are_drawn_as_often_as_the_product_of_their_probabilities(masked):
    logits, masks, _ = a_multi_categorical(4, masked=masked, rows=2)
    row = logits[1:].astype(np.float32)
    mask = None if masks is None else masks[1:]
    joint = slow_joint(row[0], None if mask is None else mask[0])
    choice = MultiCategorical(
        np.repeat(row, SAMPLES, axis=0), SIZES, None if mask is None else np.repeat(mask, SAMPLES, axis=0)
    )
    drawn = choice.sample(np.random.default_rng(5))
    assert (drawn.dtype, drawn.shape) == (np.int32, (SAMPLES, len(SIZES)))
    counts = np.bincount(np.ravel_multi_index(drawn.T, SIZES), minlength=len(EVERY))
    possible = joint > 0
    assert (counts[~possible] == 0).all()
    expected = SAMPLES * joint[possible]
    statistic, freedom = ((counts[possible] - expected) ** 2 / expected).sum(), int(possible.sum()) - 1
    # Chi-square: mean k - 1, variance 2 (k - 1). It also sees choices that depend on each other.
    assert statistic < freedom + 5 * math.sqrt(2 * freedom)


def a_gaussian(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    means, log_std = rng.normal(size=(ROWS, DIMS)), np.array([-1.5, 0.3, 0.9])
    return Gaussian(means.astype(dtype), log_std.astype(dtype)), means, np.exp(log_std), rng.normal(size=(ROWS, DIMS))


def test_the_density_is_the_product_of_normal_densities():
    choice, means, std, actions = a_gaussian(6)
    expected = [
        sum(math.log(NormalDist(m, s).pdf(a)) for m, s, a in zip(mean, std, action, strict=True))
        for mean, action in zip(means, actions, strict=True)
    ]
    np.testing.assert_allclose(choice.log_prob(actions), expected, rtol=1e-12)


def test_the_differential_entropy_is_that_of_normal_distributions():
    choice, _, std, _ = a_gaussian(7)
    expected = sum(0.5 * math.log(2 * math.pi * math.e * s * s) for s in std)
    np.testing.assert_allclose(choice.entropy(), [expected] * ROWS, rtol=1e-12)
    # By integration, too: -E[log p] of one of them, on a fine grid.
    curve, grid = NormalDist(0, std[2]), np.linspace(-30, 30, 10_001)
    p = np.array([curve.pdf(x) for x in grid])
    integral = -(p * np.log(np.maximum(p, 1e-300))).sum() * (grid[1] - grid[0])
    assert Gaussian(np.zeros((1, 1)), np.log(std[2:])).entropy()[0] == pytest.approx(integral, rel=1e-6)


def test_continuous_actions_are_drawn_from_their_normal_distributions():
    _, means, std, _ = a_gaussian(8)
    choice = Gaussian(np.repeat(means[:1], SAMPLES, axis=0).astype(np.float32), np.log(std).astype(np.float32))
    drawn = choice.sample(np.random.default_rng(9))
    assert (drawn.dtype, drawn.shape) == (np.float32, (SAMPLES, DIMS))
    for dim in range(DIMS):
        curve = NormalDist(means[0, dim], std[dim])
        for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
            below = (drawn[:, dim] < curve.inv_cdf(share)).mean()
            assert abs(below - share) < 5 * math.sqrt(share * (1 - share) / SAMPLES), (dim, share)
    correlations = np.corrcoef(drawn.T)[np.triu_indices(DIMS, 1)]
    assert np.abs(correlations).max() < 5 / math.sqrt(SAMPLES)


def test_each_row_is_drawn_around_its_own_mean():
    means = np.arange(6.0).reshape(2, 3) * 100
    drawn = Gaussian(means, np.full(3, -5.0)).sample(np.random.default_rng(10))
    np.testing.assert_allclose(drawn, means, atol=0.1)
    assert Gaussian(means, np.zeros(3)).best().tolist() == means.tolist()
    assert Gaussian(means, np.zeros(3)).best().dtype == np.float32


def test_single_precision_stays_single_precision():
    choice, _, _, actions = a_gaussian(11, np.float32)
    precise, *_ = a_gaussian(11)
    log_probs = choice.log_prob(actions.astype(np.float32))
    assert (log_probs.dtype, choice.entropy().dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(log_probs, precise.log_prob(actions), rtol=1e-4)
    logits, _, taken = a_multi_categorical(12, masked=False)
    several = MultiCategorical(logits.astype(np.float32), SIZES)
    assert (several.log_prob(taken).dtype, several.entropy().dtype) == (np.float32, np.float32)


def test_the_action_space_selects_the_distribution():
    outputs = np.zeros((2, 4), np.float32)
    masks = np.array([[True, False, True, True]] * 2)
    assert type(distribution(Discrete(4), outputs, None, masks)) is Categorical
    several = distribution(MultiDiscrete((2, 2)), outputs, None, masks)
    assert type(several) is MultiCategorical
    np.testing.assert_allclose(np.exp(several.log_prob(np.array([[0, 1]] * 2))), 0.5)
    numbers = distribution(Box((0.0,) * 4, (1.0,) * 4), outputs, np.full(4, 0.5, np.float32), None)
    assert type(numbers) is Gaussian
    np.testing.assert_allclose(numbers.std, math.exp(0.5), rtol=1e-6)


# Gradients.


def entropy_weights(kind, rng):
    return {"none": 0.0, "a number": 0.3, "one a row": rng.random(ROWS)}[kind]


every_bonus = pytest.mark.parametrize("bonus", ["none", "a number", "one a row"])


@with_and_without_masks
@every_bonus
def test_the_gradient_for_several_choices_equals_central_differences(bonus, masked):
    logits, masks, actions = a_multi_categorical(13, masked=masked)
    rng = np.random.default_rng(14)
    taken_grad, weights = rng.normal(size=ROWS), entropy_weights(bonus, rng)

    def loss():
        total = 0.0
        for row in range(ROWS):
            joint = slow_joint(logits[row], None if masks is None else masks[row])
            at = int(np.ravel_multi_index(actions[row], SIZES))
            total += taken_grad[row] * math.log(joint[at])
            total += np.broadcast_to(weights, ROWS)[row] * sum(p * math.log(p) for p in joint if p)
        return total

    found, log_std_grad = to_outputs(MultiCategorical(logits, SIZES, masks), actions, taken_grad, weights)
    assert log_std_grad is None
    np.testing.assert_allclose(found, differences(loss, logits), rtol=1e-6, atol=1e-9)
    if masks is not None:
        assert (found[~masks] == 0).all()


@every_bonus
def test_the_gradient_for_continuous_actions_and_deviations_equals_central_differences(bonus):
    rng = np.random.default_rng(15)
    means, log_std, actions = rng.normal(size=(ROWS, DIMS)), np.array([-0.7, 0.2, 0.5]), rng.normal(size=(ROWS, DIMS))
    taken_grad, weights = rng.normal(size=ROWS), entropy_weights(bonus, rng)

    def loss():
        total = 0.0
        for row, (mean, action) in enumerate(zip(means, actions, strict=True)):
            for m, ls, a in zip(mean, log_std, action, strict=True):
                curve = NormalDist(m, math.exp(ls))
                total += taken_grad[row] * math.log(curve.pdf(a))
                total -= np.broadcast_to(weights, ROWS)[row] * 0.5 * math.log(2 * math.pi * math.e * curve.variance)
        return total

    found, log_std_grad = to_outputs(Gaussian(means, log_std), actions, taken_grad, weights)
    np.testing.assert_allclose(found, differences(loss, means), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(log_std_grad, differences(loss, log_std), rtol=1e-6, atol=1e-8)
