"""Our formulas against DeepMind's rlax, in double precision: one game a column, over by its rules, cut, or going on."""

import contextlib
import warnings

import numpy as np
import pytest

from broodmind.common.policy import categorical
from broodmind.learner.maths.losses import clipped_surrogate, policy_gradient, to_logits
from broodmind.learner.maths.returns import discounted_returns, generalized_advantages
from broodmind.learner.maths.vtrace import vtrace

with warnings.catch_warnings():  # those of its own dependencies are not ours to mend
    warnings.simplefilter("ignore")
    with contextlib.suppress(ModuleNotFoundError):  # tests/conftest.py says so, where one of these tests is to run
        import jax
        import rlax

        jax.config.update("jax_enable_x64", True)

pytestmark = [pytest.mark.reference, pytest.mark.filterwarnings("ignore:Rlax .* will be deprecated")]

GAMMA, STEPS, COLUMNS = 0.97, 11, 30
exactly = {"rtol": 1e-9, "atol": 1e-12}


class Games:
    """Columns [T, B] of random play."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        shape = (STEPS, COLUMNS)
        self.rewards, self.values = rng.normal(size=shape), rng.normal(size=(STEPS + 1, COLUMNS))
        self.log_ratios = rng.normal(0, 0.8, shape)
        self.valid = np.ones(shape, np.bool_)
        at_the_end = np.arange(STEPS)[:, None] == STEPS - 1
        self.terminated = at_the_end & (np.arange(COLUMNS) % 3 == 0)
        self.truncated = at_the_end & (np.arange(COLUMNS) % 3 == 1)
        self.discounts = GAMMA * ~self.terminated


def each_column(function, *arrays):
    """What a function of one column [T] gives for each, as [T, B]."""
    return np.asarray(jax.vmap(function, in_axes=1, out_axes=1)(*arrays))


@pytest.mark.parametrize("lambda_", [0.0, 0.9, 1.0])
def test_generalized_advantages_equal_rlax(lambda_):
    games = Games(1)
    expected = each_column(
        lambda r, d, v: rlax.truncated_generalized_advantage_estimation(r, d, lambda_, v),
        *(games.rewards, games.discounts, games.values),
    )
    ends = (games.terminated, games.truncated, games.valid)
    found = generalized_advantages(games.rewards, games.values, *ends, GAMMA, lambda_)
    np.testing.assert_allclose(found, expected, **exactly)


@pytest.mark.parametrize("rho_bar", [0.7, 1.0, 2.5])
@pytest.mark.parametrize("lambda_", [0.0, 0.9, 1.0])
def test_v_trace_targets_equal_rlax(lambda_, rho_bar):
    games = Games(2)
    errors = each_column(
        lambda v, w, r, d, rho: rlax.vtrace(v, w, r, d, rho, lambda_, rho_bar),
        *(games.values[:-1], games.values[1:], games.rewards, games.discounts, np.exp(games.log_ratios)),
    )
    ends = (games.terminated, games.truncated, games.valid)
    found = vtrace(games.rewards, games.values, games.log_ratios, *ends, GAMMA, lambda_, rho_bar)
    np.testing.assert_allclose(found.targets - games.values[:-1], errors, **exactly)


@pytest.mark.parametrize("policy_rho_bar", [0.7, 1.0, 2.5])
def test_v_trace_advantages_equal_rlax(policy_rho_bar):
    """With lambda 1: for less, rlax mixes V into the target of the step after, which the paper does not."""
    games = Games(3)
    expected = each_column(
        lambda v, w, r, d, rho: rlax.vtrace_td_error_and_advantage(v, w, r, d, rho, 1.0, 1.0, policy_rho_bar)[1],
        *(games.values[:-1], games.values[1:], games.rewards, games.discounts, np.exp(games.log_ratios)),
    )
    ends = (games.terminated, games.truncated, games.valid)
    found = vtrace(
        games.rewards, games.values, games.log_ratios, *ends, GAMMA, 1.0, 1.0, 1.0, policy_rho_bar=policy_rho_bar
    )
    np.testing.assert_allclose(found.advantages, expected, **exactly)


def test_discounted_returns_equal_rlax():
    games = Games(4)
    expected = each_column(lambda r: rlax.discounted_returns(r, np.full(STEPS, GAMMA), np.zeros(STEPS)), games.rewards)
    np.testing.assert_allclose(discounted_returns(games.rewards, games.valid, GAMMA), expected, **exactly)


class Choices:
    """Rows [N] of choices among four, with an entropy bonus, and how an independent loss sees their logits."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.logits, self.advantages = rng.normal(size=(40, 4)), rng.normal(size=40)
        self.actions = rng.integers(0, 4, 40)
        self.log_probs = categorical.log_softmax(self.logits)
        self.taken = categorical.take(self.log_probs, self.actions)
        self.played = self.taken + rng.normal(0, 0.3, 40)

    def ours(self, taken_grad):
        return to_logits(self.log_probs, self.actions, taken_grad, 0.3 / len(self.actions))

    def entropy(self, logits):
        return 0.3 * rlax.entropy_loss(logits, np.ones(len(self.actions)))


def test_ppos_loss_and_its_gradient_equal_rlax():
    rows = Choices(5)

    def loss(logits):
        ratios = jax.numpy.exp(rlax.batched_index(jax.nn.log_softmax(logits), rows.actions) - rows.played)
        return rlax.clipped_surrogate_pg_loss(ratios, rows.advantages, 0.2)

    ratios = np.exp(rows.taken - rows.played)
    assert 0 < np.count_nonzero(np.abs(ratios - 1) > 0.2) < len(ratios)
    found, taken_grad = clipped_surrogate(ratios, rows.advantages, 0.2)
    assert found == pytest.approx(float(loss(rows.logits)), rel=1e-9)
    expected = jax.grad(lambda logits: loss(logits) + rows.entropy(logits))(rows.logits)
    np.testing.assert_allclose(rows.ours(taken_grad), expected, **exactly)


def test_the_policy_gradients_loss_and_its_gradient_equal_rlax():
    rows = Choices(6)

    def loss(logits):
        return rlax.policy_gradient_loss(logits, rows.actions, rows.advantages, np.ones(len(rows.actions)))

    found, taken_grad = policy_gradient(rows.taken, rows.advantages / len(rows.actions))
    assert found == pytest.approx(float(loss(rows.logits)), rel=1e-9)
    expected = jax.grad(lambda logits: loss(logits) + rows.entropy(logits))(rows.logits)
    np.testing.assert_allclose(rows.ours(taken_grad), expected, **exactly)
