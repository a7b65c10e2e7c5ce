"""V-trace against the paper's double sum, written out a column and a game at a time."""

import math

import numpy as np
import pytest

from broodmind.learner.maths.returns import generalized_advantages
from broodmind.learner.maths.vtrace import vtrace

GARBAGE = 1e3  # what stands in steps that count for nothing
STEPS, COLUMNS = 30, 12


class Play:
    """Columns with the reset after an ending, some cut off by padding, some by the end of the piece."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        shape = (STEPS, COLUMNS)
        self.rewards, self.values = rng.normal(size=shape), np.full((STEPS + 1, COLUMNS), GARBAGE)
        self.log_ratios = rng.normal(0, 0.8, shape)
        self.terminated, self.truncated, self.valid = np.zeros((3, *shape), np.bool_)
        self.games = []  # (column, first step, one past the last step, how it ended)
        for column in range(COLUMNS):
            until = int(rng.integers(1, STEPS + 1)) if column % 3 == 0 else STEPS
            first = 0
            while first < until:
                end = min(first + int(rng.integers(1, 8)), until)
                how = ("terminated", "truncated")[int(rng.integers(2))] if end < until or column % 2 else "cut"
                self.valid[first:end, column] = True
                if how != "cut":
                    getattr(self, how)[end - 1, column] = True
                self.values[first : end + 1, column] = rng.normal(size=end + 1 - first)
                self.games.append((column, first, end, how))
                first = end + 1
        for array in (self.rewards, self.log_ratios):
            array[~self.valid] = GARBAGE / 10
        assert {how for *_, how in self.games} == {"terminated", "truncated", "cut"}

    def trace(self, gamma, *bars, dtype=np.float64):
        floats = [each.astype(dtype, copy=False) for each in (self.rewards, self.values, self.log_ratios)]
        return vtrace(*floats, *(self.terminated, self.truncated, self.valid, gamma, *bars))


def double_sum(play, gamma, lambda_, rho_bar, c_bar, policy_rho_bar):
    """Equation 1: v_s = V(x_s) + sum over t of gamma^(t-s) (prod over s <= i < t of c_i) delta_t, to the game's end.

    And the gradient's weight, section 4.2: rho_s (r_s + gamma v_{s+1} - V(x_s)).
    """
    targets, advantages = play.values[:-1].copy(), np.zeros_like(play.rewards)
    for column, first, end, how in play.games:
        rewards, values = play.rewards[:, column], play.values[:, column]
        ratios = [math.exp(each) if abs(each) < 50 else None for each in play.log_ratios[:, column]]
        after = [0.0 if (t, how) == (end - 1, "terminated") else values[t + 1] for t in range(STEPS)]
        for s in range(first, end):
            for t in range(s, end):
                trace = math.prod(lambda_ * min(c_bar, ratios[i]) for i in range(s, t))
                delta = min(rho_bar, ratios[t]) * (rewards[t] + gamma * after[t] - values[t])
                targets[s, column] += gamma ** (t - s) * trace * delta
        for s in range(first, end):
            following = targets[s + 1, column] if s < end - 1 else after[s]
            advantages[s, column] = min(policy_rho_bar, ratios[s]) * (rewards[s] + gamma * following - values[s])
    return targets, advantages


@pytest.fixture(autouse=True)
def _garbage_overflows():
    with np.errstate(over="ignore"):  # exp(GARBAGE / 10) in float32, of steps that were not played
        yield


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("gamma", "bars"),
    [  # lambda, rho_bar, c_bar, policy_rho_bar
        (0.99, (1.0, 1.0, 1.0, 1.0)),
        (0.9, (0.5, 1.0, 1.0, 1.0)),
        (0.9, (0.95, 2.0, 0.7, 1.5)),
        (1.0, (1.0, 0.6, 1.8, 0.3)),
        (0.8, (0.0, 1.0, 1.0, 1.0)),
        (0.0, (1.0, 1.0, 1.0, 1.0)),
        (0.97, (1.0, 1e9, 1e9, 1e9)),
    ],
)
def test_targets_and_advantages_are_the_papers_double_sum(seed, gamma, bars):
    play = Play(seed)
    found, (targets, advantages) = play.trace(gamma, *bars), double_sum(play, gamma, *bars)
    np.testing.assert_allclose(found.targets, targets, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(found.advantages, advantages, rtol=1e-11, atol=1e-11)


def test_float32_input_gives_float32_results_equal_up_to_rounding():
    play = Play(5)
    found, (targets, advantages) = play.trace(0.99, dtype=np.float32), double_sum(play, 0.99, 1, 1, 1, 1)
    assert (found.targets.dtype, found.advantages.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(found.targets, targets, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.advantages, advantages, rtol=1e-4, atol=1e-5)


def test_all_bars_and_lambda_are_1_by_default():
    play = Play(6)
    found, explicit = play.trace(0.9), play.trace(0.9, 1.0, 1.0, 1.0, 1.0)
    np.testing.assert_array_equal(found.targets, explicit.targets)
    np.testing.assert_array_equal(found.advantages, explicit.advantages)


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_on_policy_with_lambda_1_it_is_the_n_step_return(gamma):
    play = Play(7)
    play.log_ratios[...] = 0
    found = play.trace(gamma)
    for column, first, end, how in play.games:
        bootstrap = 0.0 if how == "terminated" else play.values[end, column]
        for t in range(first, end):
            rewards = play.rewards[t:end, column]
            n_step = (gamma ** np.arange(end - t) * rewards).sum() + gamma ** (end - t) * bootstrap
            assert found.targets[t, column] == pytest.approx(n_step, abs=1e-12)
            assert found.advantages[t, column] == pytest.approx(n_step - play.values[t, column], abs=1e-12)


@pytest.mark.parametrize("lambda_", [1.0, 0.95, 0.3, 0.0])
def test_on_policy_its_targets_are_those_of_gae(lambda_):
    play = Play(8)
    play.log_ratios[...] = 0
    arrays = (play.rewards, play.values, play.terminated, play.truncated, play.valid)
    expected = play.values[:-1] + generalized_advantages(*arrays, 0.97, lambda_)
    np.testing.assert_allclose(play.trace(0.97, lambda_).targets, expected, rtol=1e-12, atol=1e-12)


def column(*numbers):
    return np.array(numbers)[:, None]


NO = column(False, False)


def test_an_advantage_uses_the_next_steps_target_and_not_its_value():
    found = vtrace(column(1.0, 2.0), column(10.0, 20.0, 40.0), column(0.0, 0.0), NO, NO, ~NO, 0.5)
    # v_1 = 2 + 0.5 x 40 = 22, and V(x_1) = 20: 1 + 0.5 x 22 - 10 = 2; with V it would be 1.
    assert found.advantages[:, 0].tolist() == [2.0, 2 + 20 - 20]
    assert found.targets[:, 0].tolist() == [1 + 0.5 * 22, 22.0]


def test_the_error_of_the_last_step_counts_in_a_fragment_of_one_step():
    found = vtrace(column(3.0), column(1.0, 8.0), column(0.0), NO[:1], NO[:1], ~NO[:1], 0.5)
    assert (found.targets.tolist(), found.advantages.tolist()) == ([[7.0]], [[6.0]])


def test_each_bar_limits_its_own_weight_from_above_only():
    values = column(0.0, 0.0, 0.0)
    for first, second in ((2.0, 0.25), (0.25, 2.0), (2.0, 2.0)):
        log_ratios = column(math.log(first), math.log(second))
        found = vtrace(column(1.0, 1.0), values, log_ratios, NO, NO, ~NO, 1.0, 1.0, 1.5, 0.5, 1.25)
        v_1 = min(1.5, second)
        v_0 = min(1.5, first) + min(0.5, first) * v_1
        np.testing.assert_allclose(found.targets[:, 0], [v_0, v_1])
        np.testing.assert_allclose(found.advantages[:, 0], [min(1.25, first) * (1 + v_1), min(1.25, second)])


def test_truncation_keeps_the_bootstrap_and_termination_removes_it_even_if_both_are_set():
    yes, no = np.array([[True, False, True, False]]), np.array([[False, False, True, True]])
    found = vtrace(np.ones((1, 4)), np.array([[0.5] * 4, [10.0] * 4]), np.zeros((1, 4)), yes, no, yes | ~yes, 0.9)
    np.testing.assert_allclose(found.targets, [[1, 10, 1, 10]])
    np.testing.assert_allclose(found.advantages, [[0.5, 9.5, 0.5, 9.5]])


@pytest.mark.parametrize("how", ["terminated", "truncated"])
def test_the_end_of_a_game_cuts_the_trace_even_without_a_reset_step(how):
    none = column(False, False, False)
    endings = {"terminated": none, "truncated": none, how: column(False, True, False)}

    def trace(last):
        rewards, values = column(1.0, 1.0, last), column(0.5, 0.25, 2.0, 4.0)
        return vtrace(rewards, values, column(0.1, 0.2, 0.3), **endings, valid=~none, gamma=0.9)

    np.testing.assert_array_equal(trace(1.0).targets[:2], trace(100.0).targets[:2])
    np.testing.assert_array_equal(trace(1.0).advantages[:2], trace(100.0).advantages[:2])
    assert trace(1.0).targets[2] != trace(100.0).targets[2]


def test_invalid_steps_get_zero_and_do_not_propagate():
    play, changed = Play(9), Play(9)
    changed.rewards[~changed.valid] = -7 * GARBAGE
    changed.log_ratios[~changed.valid] = 3.0
    found, other = play.trace(0.99, 0.9), changed.trace(0.99, 0.9)
    assert (found.advantages[~play.valid] == 0).all()
    np.testing.assert_array_equal(found.targets[~play.valid], play.values[:-1][~play.valid])
    np.testing.assert_array_equal(found.targets, other.targets)
    np.testing.assert_array_equal(found.advantages, other.advantages)


def test_the_arguments_are_not_changed():
    play, untouched = Play(10), Play(10)
    play.trace(0.9, 0.9)
    for name in ("rewards", "values", "log_ratios", "terminated", "truncated", "valid"):
        np.testing.assert_array_equal(getattr(play, name), getattr(untouched, name), err_msg=name)
