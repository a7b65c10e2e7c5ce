"""The categorical distribution: its probabilities, its samples, its entropy, with and without forbidden actions."""

import math

import numpy as np
import pytest

from broodmind.common.policy import categorical
from broodmind.learner.maths.losses import to_logits

SAMPLES = 100_000


class Fixed:
    """A generator that always draws the same number."""

    def __init__(self, number):
        self.number = number

    def random(self, size):
        return np.full(size, self.number)


SMALLEST, LARGEST = Fixed(0.0), Fixed(1 - 2.0**-53)  # all of [0, 1) that a Generator's doubles reach


def test_log_softmax_is_the_normalised_exponential():
    logits = np.random.default_rng(1).normal(size=(20, 5))
    weights = np.exp(logits)
    expected = weights / weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(categorical.log_softmax(logits)), expected, rtol=1e-12)


def test_log_softmax_is_the_same_for_shifted_logits_and_survives_huge_ones():
    logits = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(categorical.log_softmax(logits + 1000), categorical.log_softmax(logits), rtol=1e-12)
    extreme = categorical.log_softmax(np.array([[-3e38, 0.0, 3e38], [3e38, 3e38, -3e38]], np.float32) / 2)
    np.testing.assert_allclose(extreme[0], [-3e38, -1.5e38, 0], rtol=1e-6)
    np.testing.assert_allclose(extreme[1, :2], [-math.log(2)] * 2, rtol=1e-6)


def test_rows_with_logits_of_very_different_size_are_independent():
    rows = np.array([[-1000.0, -1001.0], [0.0, 1.0], [1000.0, 1001.0]])
    alone = np.concatenate([categorical.log_softmax(row[None]) for row in rows])
    np.testing.assert_allclose(categorical.log_softmax(rows), alone, rtol=1e-12)
    np.testing.assert_allclose(np.exp(alone).sum(axis=1), 1, rtol=1e-12)


def test_log_softmax_does_not_change_its_argument():
    logits = np.ones((2, 3))
    categorical.log_softmax(logits, np.array([[True, False, True]] * 2))
    categorical.log_softmax(logits)
    assert (logits == 1).all()


def test_a_mask_renormalises_over_what_it_allows():
    logits = np.array([[1.0, 5.0, 2.0, -1.0]])
    masks = np.array([[True, False, True, True]])
    found = categorical.log_softmax(logits, masks)
    np.testing.assert_allclose(found[masks], categorical.log_softmax(logits[:, [0, 2, 3]])[0], rtol=1e-12)
    assert found[0, 1] == -math.inf


def test_a_forbidden_action_has_probability_zero_whatever_its_logit():
    masks = np.array([[True, False, True]])
    for logit in (-1e30, 0.0, 1e30):
        found = categorical.log_softmax(np.array([[0.0, logit, 0.0]], np.float32), masks)
        np.testing.assert_allclose(np.exp(found), [[0.5, 0, 0.5]], rtol=1e-6)


def test_the_only_action_allowed_is_certain():
    found = categorical.log_softmax(np.array([[3.0, -2.0]]), np.array([[False, True]]))
    assert found.tolist() == [[-math.inf, 0.0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_actions_come_as_often_as_their_probability_says(dtype, masked):
    logits = np.array([[0.0, 1.0, -1.0, 2.0, 0.5, -3.0]], dtype)
    masks = np.array([[False, True, True, False, True, True]]) if masked else None
    log_probs = categorical.log_softmax(logits, masks)
    drawn = categorical.sample(np.repeat(log_probs, SAMPLES, axis=0), np.random.default_rng(2))
    assert drawn.dtype == np.int32
    counts = np.bincount(drawn, minlength=6)
    possible = np.isfinite(log_probs[0])
    assert (counts[~possible] == 0).all()
    expected = SAMPLES * np.exp(log_probs[0, possible].astype(np.float64))
    statistic = float(((counts[possible] - expected) ** 2 / expected).sum())
    # Chi-square with k - 1 degrees of freedom has mean k - 1 and variance 2 (k - 1): five deviations above.
    freedom = int(possible.sum()) - 1
    assert statistic < freedom + 5 * math.sqrt(2 * freedom), counts


def test_each_row_is_drawn_from_its_own_distribution_with_one_number_each():
    log_probs = np.log(np.array([[0.2, 0.8], [0.8, 0.2], [0.5, 0.5]]))
    rng, twin = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(50):
        numbers = twin.random(3)
        # The distribution function inverted: the second action from where the first one's share ends.
        assert categorical.sample(log_probs, rng).tolist() == (numbers >= [0.2, 0.8, 0.5]).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rng", [SMALLEST, LARGEST], ids=["smallest", "largest"])
def test_no_random_number_gives_a_forbidden_action(rng, dtype):
    logits = np.random.default_rng(4).normal(0, 4, (2000, 7)).astype(dtype)
    masks = np.random.default_rng(5).random((2000, 7)) < 0.4
    masks[np.arange(2000), np.random.default_rng(6).integers(0, 7, 2000)] = True
    drawn = categorical.sample(categorical.log_softmax(logits, masks), rng)
    assert masks[np.arange(2000), drawn].all()
    columns = np.where(masks, np.arange(7), 7 if rng is SMALLEST else -1)
    ends = columns.min(axis=1) if rng is SMALLEST else columns.max(axis=1)
    likely = np.exp(categorical.log_softmax(logits, masks))[np.arange(2000), ends] > 1e-3
    assert (drawn == ends)[likely].all()


def test_forbidden_actions_are_never_drawn_in_many_rows():
    rng = np.random.default_rng(7)
    logits = rng.normal(size=(SAMPLES, 5)).astype(np.float32)
    masks = rng.random((SAMPLES, 5)) < 0.5
    masks[~masks.any(axis=1), 0] = True
    drawn = categorical.sample(categorical.log_softmax(logits, masks), rng)
    assert masks[np.arange(SAMPLES), drawn].all()


def test_take_picks_each_rows_own_action():
    log_probs = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    assert categorical.take(log_probs, np.array([2, 0], np.int32)).tolist() == [0.3, 0.4]


@pytest.mark.parametrize(
    ("probs", "expected"),
    [
        ([0.25] * 4, math.log(4)),
        ([0.5, 0.5, 0.0, 0.0], math.log(2)),
        ([1.0, 0.0, 0.0, 0.0], 0.0),
        ([0.9, 0.1, 0.0, 0.0], -0.9 * math.log(0.9) - 0.1 * math.log(0.1)),
        ([0.5, 0.25, 0.125, 0.125], 1.75 * math.log(2)),
    ],
)
def test_entropy_has_its_closed_form(probs, expected):
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.array([probs, probs]))
    np.testing.assert_allclose(categorical.entropy(log_probs), [expected] * 2, atol=1e-15)


def test_the_entropy_under_a_mask_is_that_of_the_allowed_actions():
    logits = np.random.default_rng(8).normal(size=(1, 5))
    masks = np.array([[True, False, True, True, False]])
    left = categorical.entropy(categorical.log_softmax(logits[:, masks[0]]))
    np.testing.assert_allclose(categorical.entropy(categorical.log_softmax(logits, masks)), left, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_gradient_reaches_the_logit_of_a_forbidden_action(dtype):
    rng = np.random.default_rng(9)
    rows, width = 50, 6
    actions = rng.integers(0, width, rows)
    masks = rng.random((rows, width)) < 0.5
    masks[np.arange(rows), actions] = True
    log_probs = categorical.log_softmax(rng.normal(size=(rows, width)).astype(dtype), masks)
    gradient = to_logits(log_probs, actions, rng.normal(size=rows).astype(dtype), 0.3)
    assert gradient.dtype == dtype
    assert (gradient[~masks] == 0).all()
    choice = masks & (masks.sum(axis=1, keepdims=True) > 1)
    assert (gradient[choice] != 0).all()


def test_the_gradient_for_logits_sums_to_zero():
    rng = np.random.default_rng(10)
    log_probs = categorical.log_softmax(rng.normal(size=(30, 4)))
    gradient = to_logits(log_probs, rng.integers(0, 4, 30), rng.normal(size=30), rng.random(30))
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-14)


def test_the_entropy_bonus_lowers_likely_actions_and_raises_unlikely_ones():
    log_probs = np.log(np.array([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3]]))
    gradient = to_logits(log_probs, np.array([0, 0]), np.zeros(2), 1.0)
    assert gradient[0, 0] > 0 > gradient[0, 2]  # the step goes against it
    np.testing.assert_allclose(gradient[1], 0, atol=1e-15)


@pytest.mark.parametrize("number", [SMALLEST, LARGEST, Fixed(0.37), Fixed(0.82)])
def test_a_row_alone_is_sampled_as_among_others(number):
    masks = np.random.default_rng(3).random((200, 5)) < 0.7
    masks[~masks.any(axis=1), 2] = True
    log_probs = categorical.log_softmax(np.random.default_rng(2).normal(size=(200, 5)).astype(np.float32), masks)
    together = categorical.sample(log_probs, number)
    alone = [categorical.sample(row[None], number) for row in log_probs]
    assert {one.dtype for one in alone} == {together.dtype}
    np.testing.assert_array_equal(np.concatenate(alone), together)
    taken = [categorical.take(row[None], action[None]) for row, action in zip(log_probs, together, strict=True)]
    np.testing.assert_array_equal(np.concatenate(taken), categorical.take(log_probs, together))
