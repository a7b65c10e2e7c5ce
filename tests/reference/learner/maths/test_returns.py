"""Returns and advantages against the papers' sums, written out a column and a game at a time."""

import numpy as np
import pytest

from broodmind.learner.maths.returns import advantage_scale, discounted_returns, generalized_advantages

GARBAGE = 1e3  # what stands in steps that count for nothing


class Play:
    """Random columns as actors send them: games end, the step after an ending is a reset, columns are padded."""

    def __init__(self, seed, steps=40, columns=12):
        rng = np.random.default_rng(seed)
        shape = (steps, columns)
        self.rewards = rng.normal(size=shape)
        self.values = rng.normal(size=(steps + 1, columns))
        self.terminated = np.zeros(shape, np.bool_)
        self.truncated = np.zeros(shape, np.bool_)
        self.valid = np.zeros(shape, np.bool_)
        self.games = []  # (column, first step, one past the last step, how it ended)
        for column in range(columns):
            padded_from = steps if column % 3 else int(rng.integers(1, steps + 1))
            t = column % 2  # every other column begins with the reset after an ending in the piece before
            while t < padded_from:
                end = min(t + int(rng.integers(1, 9)), padded_from)
                how = "cut" if end == padded_from else str(rng.choice(["terminated", "truncated"]))
                self.valid[t:end, column] = True
                self.terminated[end - 1, column] = how == "terminated"
                self.truncated[end - 1, column] = how == "truncated"
                self.games.append((column, t, end, how))
                t = end + 1
        self.rewards[~self.valid] = GARBAGE
        # Behind an ending stands the final observation, which has a value; behind padding stands nothing.
        reachable = np.zeros(self.values.shape, np.bool_)
        for column, first, end, _ in self.games:
            reachable[first : end + 1, column] = True
        self.values[~reachable] = GARBAGE
        assert {how for *_, how in self.games} == {"terminated", "truncated", "cut"}

    def advantages(self, gamma, lambda_, dtype=np.float64):
        return generalized_advantages(
            self.rewards.astype(dtype, copy=False),
            self.values.astype(dtype, copy=False),
            self.terminated,
            self.truncated,
            self.valid,
            gamma,
            lambda_,
        )


def sum_of_the_paper(play, gamma, lambda_):
    """A_t = sum over l of (gamma lambda)^l delta_{t+l} to the end of the game (arXiv 1506.02438, eq. 16)."""
    result = np.zeros_like(play.rewards)
    for column, first, end, how in play.games:
        rewards, values = play.rewards[:, column], play.values[:, column]
        for t in range(first, end):
            for s in range(t, end):
                after = 0.0 if s == end - 1 and how == "terminated" else values[s + 1]
                result[t, column] += (gamma * lambda_) ** (s - t) * (rewards[s] + gamma * after - values[s])
    return result


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("gamma", "lambda_"), [(0.99, 0.95), (0.9, 0.5), (1.0, 1.0), (1.0, 0.0), (0.7, 0.0), (0.0, 0.9), (0.95, 1.0)]
)
def test_advantages_are_the_papers_sum(seed, gamma, lambda_):
    play = Play(seed)
    np.testing.assert_allclose(
        play.advantages(gamma, lambda_), sum_of_the_paper(play, gamma, lambda_), rtol=1e-12, atol=1e-12
    )


def test_float32_input_gives_float32_advantages_equal_up_to_rounding():
    play = Play(7)
    found = play.advantages(0.99, 0.95, np.float32)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, sum_of_the_paper(play, 0.99, 0.95), rtol=1e-4, atol=1e-5)


def test_with_gamma_and_lambda_1_an_advantage_is_the_remaining_return_minus_the_value():
    play = Play(11)
    found = play.advantages(1.0, 1.0)
    for column, first, end, how in play.games:
        bootstrap = 0.0 if how == "terminated" else play.values[end, column]
        for t in range(first, end):
            to_come = play.rewards[t:end, column].sum() + bootstrap
            assert found[t, column] == pytest.approx(to_come - play.values[t, column], abs=1e-12)


def test_with_lambda_0_an_advantage_is_the_one_step_error():
    play = Play(12)
    found = play.advantages(0.9, 0.0)
    for column, first, end, how in play.games:
        for t in range(first, end):
            after = 0.0 if (t, how) == (end - 1, "terminated") else play.values[t + 1, column]
            expected = play.rewards[t, column] + 0.9 * after - play.values[t, column]
            assert found[t, column] == pytest.approx(expected, abs=1e-12)


def test_truncation_keeps_the_bootstrap_and_termination_removes_it():
    rewards, values = np.array([[1.0, 1.0, 1.0]]), np.array([[0.5, 0.5, 0.5], [10.0, 10.0, 10.0]])
    no = np.zeros((1, 3), np.bool_)
    terminated, truncated = no.copy(), no.copy()
    terminated[0, 0] = truncated[0, 1] = True
    found = generalized_advantages(rewards, values, terminated, truncated, ~no, 0.9, 0.95)
    np.testing.assert_allclose(found, [[1 - 0.5, 1 + 9 - 0.5, 1 + 9 - 0.5]])


def test_a_game_terminated_and_truncated_in_one_step_has_no_bootstrap():
    yes = np.ones((1, 1), np.bool_)
    found = generalized_advantages(np.array([[1.0]]), np.array([[0.5], [10.0]]), yes, yes, yes, 0.9, 0.95)
    np.testing.assert_allclose(found, [[0.5]])


@pytest.mark.parametrize("how", ["terminated", "truncated"])
def test_neither_termination_nor_truncation_lets_rewards_of_the_next_game_through(how):
    first, second = Play(21), Play(21)
    column, _, end, _ = next(game for game in first.games if game[3] == how and game[2] + 1 < len(first.rewards))
    second.rewards[end + 1 :, column] += 5.0  # the next game of the column goes otherwise
    second.values[end + 1 :, column] -= 3.0
    before, after = first.advantages(0.99, 0.95), second.advantages(0.99, 0.95)
    np.testing.assert_array_equal(before[: end + 1, column], after[: end + 1, column])
    assert before[end + 1, column] != after[end + 1, column]
    others = np.arange(before.shape[1]) != column
    np.testing.assert_array_equal(before[:, others], after[:, others])


@pytest.mark.parametrize("how", ["terminated", "truncated"])
def test_the_end_of_a_game_cuts_the_trace_even_without_a_reset_step(how):
    no = np.zeros((3, 1), np.bool_)
    endings = {"terminated": no, "truncated": no, how: np.array([[False], [True], [False]])}
    values = np.array([[0.5], [0.25], [2.0], [4.0]])

    def advantages(last):
        rewards = np.array([[1.0], [1.0], [last]])
        return generalized_advantages(rewards, values, **endings, valid=~no, gamma=0.9, lambda_=0.9)

    np.testing.assert_array_equal(advantages(1.0)[:2], advantages(100.0)[:2])
    bootstrap = 0.9 * 2.0 if how == "truncated" else 0.0
    assert advantages(1.0)[1, 0] == pytest.approx(1 + bootstrap - 0.25)


@pytest.mark.parametrize("what", ["advantages", "returns"])
def test_invalid_steps_get_zero_and_do_not_propagate(what):
    play, changed = Play(22), Play(22)
    changed.rewards[~changed.valid] = -7 * GARBAGE

    def compute(p):
        return p.advantages(0.99, 0.95) if what == "advantages" else discounted_returns(p.rewards, p.valid, 0.99)

    assert (compute(play)[~play.valid] == 0).all()
    np.testing.assert_array_equal(compute(play), compute(changed))


def test_the_arguments_are_not_changed():
    play, untouched = Play(23), Play(23)
    play.advantages(0.9, 0.9)
    discounted_returns(play.rewards, play.valid, 0.9)
    np.testing.assert_array_equal(play.rewards, untouched.rewards)
    np.testing.assert_array_equal(play.values, untouched.values)


@pytest.mark.parametrize("gamma", [1.0, 0.99, 0.5, 0.0])
@pytest.mark.parametrize("seed", range(3))
def test_returns_to_go_are_the_discounted_sum_of_a_whole_game(seed, gamma):
    rng = np.random.default_rng(seed)
    lengths = [1, 2, 5, 9, 17, 17]
    rewards = rng.normal(size=(max(lengths), len(lengths)))
    valid = np.arange(max(lengths))[:, None] < np.array(lengths)
    rewards[~valid] = GARBAGE
    found = discounted_returns(rewards, valid, gamma)
    for game, length in enumerate(lengths):
        for t in range(length):
            expected = sum(gamma ** (s - t) * rewards[s, game] for s in range(t, length))
            assert found[t, game] == pytest.approx(expected, abs=1e-12)
    assert (found[~valid] == 0).all()


def test_a_constant_reward_gives_the_geometric_series():
    length, gamma = 12, 0.9
    found = discounted_returns(np.full((length, 1), 2.0), np.ones((length, 1), np.bool_), gamma)
    left = np.arange(length, 0, -1)
    np.testing.assert_allclose(found[:, 0], 2 * (1 - gamma**left) / (1 - gamma), rtol=1e-12)


def test_returns_keep_the_rewards_dtype():
    ones = np.ones((3, 2), np.float32)
    assert discounted_returns(ones, ones > 0, 0.9).dtype == np.float32


@pytest.mark.parametrize("unit", [2.0**-40, 1.0, 2.0**40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_advantages_are_divided_by_their_deviation_in_any_unit(dtype, unit):
    play = Play(24)
    advantages = play.advantages(0.99, 0.95)[play.valid]
    targets = advantages + play.values[:-1][play.valid]
    expected = advantages.std()
    advantages, targets = (unit * advantages).astype(dtype), (unit * targets).astype(dtype)
    assert advantage_scale(advantages, targets) == pytest.approx(unit * expected, rel=1e-6)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 3.0, 1e12])
def test_the_rounding_of_equal_returns_is_not_made_an_advantage(unit):
    """Games that pay the same at every step, all values known: what is left is rounding, to which nothing is owed."""
    rewards = np.full((64, 8), 0.1 * unit, np.float32)
    values = np.full((65, 8), 0.1 * unit / (1 - 0.99), np.float32)
    nothing = np.zeros((64, 8), np.bool_)
    advantages = generalized_advantages(rewards, values, nothing, nothing, ~nothing, 0.99, 0.95)
    assert 0 < np.abs(advantages).max() < 1e-4 * unit  # otherwise there is nothing to be seen
    scale = advantage_scale(advantages, advantages + values[:-1])
    assert np.abs(advantages / scale).max() < 1e-4


def test_advantages_of_nothing_are_divided_by_one():
    assert advantage_scale(np.zeros(5, np.float32), np.zeros(5, np.float32)) == 1.0
