"""The baselines of whole games: the same one at a time and in a batch, and never a game's own result."""

from dataclasses import replace

import numpy as np
import pytest

from broodmind.common.actions import Discrete
from broodmind.common.spec import GameSpec, NetworkSpec, RunSpec
from broodmind.learner.algorithms.batch import Batch
from broodmind.learner.algorithms.reinforce.baselines import MovingAverage, means_of_games, means_of_others
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.algorithms.reinforce.update import Reinforce
from broodmind.learner.maths.flat_parameters import Parameters
from broodmind.learner.maths.optimizers import SGD
from broodmind.learner.maths.popart import ValueScale

FEATURES, ACTIONS, STEPS = 3, 4, 9
GAME = GameSpec("baselines", (FEATURES,), Discrete(ACTIONS))
SPEC = RunSpec(GAME, NetworkSpec((6, 5)))


def some_games(seed, count=10):
    """Whole games of 1 to 9 steps; their returns are near 20."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, STEPS + 1, count)
    shape, steps = (STEPS, count), np.arange(STEPS)[:, None]
    return Batch(
        observations=rng.normal(size=(STEPS + 1, count, FEATURES)),
        actions=rng.integers(0, ACTIONS, shape, dtype=np.int32),
        log_probs=np.full(shape, -np.log(ACTIONS)),
        rewards=rng.normal(20 / lengths, 2, shape),
        terminated=steps == lengths - 1,
        truncated=np.zeros(shape, np.bool_),
        valid=steps < lengths,
        masks=None,
        games=count,
    )


def one_of(batch, column):
    """That game as a batch of its own."""
    here = slice(column, column + 1)
    names = ("observations", "actions", "log_probs", "rewards", "terminated", "truncated", "valid")
    return replace(batch, games=1, **{name: getattr(batch, name)[:, here] for name in names})


class Learner:
    """An algorithm with parameters that every update starts from anew, so that the moves can be compared.

    By default advantages are in the unit of the rewards, and not in deviations of the returns seen so far.
    """

    def __init__(self, *, popart=0.0, **config):
        self.algorithm = Reinforce(ReinforceConfig(max_grad_norm=1e30, popart=popart, **config), SPEC)
        self.params = Parameters(SPEC.network, GAME, np.float64)
        self.start = np.random.default_rng(1).normal(0, 0.7, self.params.flat.size)

    @property
    def deviation(self):
        """Of the returns seen so far."""
        scale, state = ValueScale(0.0), self.algorithm.state()
        scale.restore({"moments": state["return_moments"], "weight": state["return_weight"]})
        return scale.deviation

    def move(self, batch):
        self.params.flat[...] = self.start
        metrics = self.algorithm.update(self.params, SGD(0), batch, 1.0, np.random.default_rng(0))
        return self.params.flat - self.start, metrics["baseline"]


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


# One at a time and in a batch.


def test_the_moving_average_weights_games_by_their_age_and_its_bias_from_the_start_is_corrected():
    """By the definition: b <- 0.95 b + 0.05 G, divided by the weight that the games so far have in it."""
    items, average = np.random.default_rng(2).normal(20, 5, 30), MovingAverage()
    found = average.fold(items)
    assert found[0] == 0.0
    for count in range(1, 31):
        weights = 0.95 ** np.arange(count)[::-1]
        assert found[count] == pytest.approx(weights @ items[:count] / weights.sum(), rel=1e-12)


def test_ten_games_make_the_same_averages_one_at_a_time_and_at_once():
    items, together, alone = np.random.default_rng(3).normal(20, 5, 10), MovingAverage(), MovingAverage()
    at_once = together.fold(items)
    one_by_one = [alone.fold(items[i : i + 1]) for i in range(10)]
    assert at_once.tolist() == [0.0, *(each[1] for each in one_by_one)]
    assert [each[0] for each in one_by_one] == at_once[:-1].tolist()
    assert {name: value.tolist() for name, value in alone.state().items()} == {
        name: value.tolist() for name, value in together.state().items()
    }


def test_games_see_the_same_moving_average_one_at_a_time_and_in_a_batch_and_so_do_later_ones():
    batch, together, alone = some_games(4), Learner(baseline="moving_average"), Learner(baseline="moving_average")
    _, seen = together.move(batch)
    one_by_one = [alone.move(one_of(batch, column))[1] for column in range(10)]
    assert one_by_one[0] == 0.0
    assert one_by_one[1] > 5  # a whole game's mean, not a twentieth of it
    assert seen == pytest.approx(np.average(one_by_one, weights=batch.valid.sum(axis=0)), rel=1e-12)
    for name, value in together.algorithm.state().items():
        np.testing.assert_allclose(alone.algorithm.state()[name], value, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("baseline", ["none", "moving_average", "value"])
@pytest.mark.parametrize("count", [2, 10])
def test_a_batchs_update_is_the_mean_of_its_games_updates(baseline, count):
    batch, options = some_games(5, count), {"baseline": baseline, "value_coef": 0.0}
    together, alone = Learner(**options), Learner(**options)
    expected = np.mean([alone.move(one_of(batch, column))[0] for column in range(count)], axis=0)
    found, _ = together.move(batch)
    assert cosine(found, expected) > 0.9999
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("count", [2, 10])
def test_so_it_is_in_deviations_but_for_these(count):
    """All games of a batch have one deviation, so that none of them weighs more than in the formula."""
    batch, options = some_games(5, count), {"baseline": "none", "entropy_coef": 0.0, "popart": 0.03}
    together, alone = Learner(**options), Learner(**options)
    expected = np.mean([alone.move(one_of(batch, column))[0] * alone.deviation for column in range(count)], axis=0)
    found = together.move(batch)[0] * together.deviation
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    assert together.deviation == pytest.approx(_returns(batch)[batch.valid].std(), rel=1e-9)


# Not a game's own result.


def test_the_mean_of_the_others_is_by_step_and_leaves_each_game_out_of_its_own():
    batch = some_games(6, 4)
    found = means_of_others(batch.rewards, batch.valid)
    for column in range(4):
        others = [batch.rewards[t, b] for t, b in np.argwhere(batch.valid) if b != column]
        assert found[column] == pytest.approx(np.mean(others), rel=1e-12)


def test_a_games_mean_is_over_its_trained_steps():
    batch = some_games(7, 4)
    found = means_of_games(batch.rewards, batch.valid)
    for column in range(4):
        assert found[column] == pytest.approx(batch.rewards[batch.valid[:, column], column].mean(), rel=1e-12)


@pytest.mark.parametrize("baseline", ["moving_average", "batch_mean"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_games_own_result_does_not_change_its_baseline(baseline, count):
    """Nor that of games before it: what a baseline depends on must not depend on the actions that it is for."""
    changed, last = some_games(8, count), count - 1
    batch = replace(changed, rewards=changed.rewards.copy())
    changed.rewards[:, last] += 1000
    moves = []
    for each in (batch, changed):
        learner = Learner(baseline=baseline, entropy_coef=0.0)
        learner.move(some_games(9, 5))
        moves.append(learner.move(each)[1] * each.steps)
    if baseline == "moving_average" or count == 1:
        assert moves[0] == pytest.approx(moves[1], rel=1e-12)
    else:  # it is in the others' baselines only: two of three games
        others = changed.valid[:, :last].sum()
        assert moves[1] - moves[0] > 100 * others / changed.steps


@pytest.mark.parametrize("baseline", ["moving_average", "batch_mean"])
def test_the_result_of_a_single_game_does_not_vanish(baseline):
    """A game of one step: with its own mean as the baseline, its advantage would be 0."""
    learner, game = Learner(baseline=baseline, entropy_coef=0.0), one_of(some_games(10), 0)
    only_first = replace(game, valid=np.arange(STEPS)[:, None] == 0)
    learner.move(some_games(11))
    assert np.abs(learner.move(only_first)[0]).max() > 1e-3


def test_a_game_of_which_all_steps_are_too_stale_has_no_part_in_a_baseline():
    batch, learner = some_games(12, 3), Learner(baseline="batch_mean")
    fresh = batch.valid.copy()
    fresh[:, 1] = False
    without = [one_of(batch, column) for column in (0, 2)]
    _, seen = learner.move(replace(batch, fresh=fresh))
    first, third = (means_of_games(_returns(each), each.valid)[0] for each in without)
    expected = (third * without[0].steps + first * without[1].steps) / (without[0].steps + without[1].steps)
    assert seen == pytest.approx(expected, rel=1e-9)


def _returns(batch):
    returns, gamma = np.where(batch.valid, batch.rewards, 0), ReinforceConfig().gamma
    for t in reversed(range(STEPS - 1)):
        returns[t] += gamma * returns[t + 1] * batch.valid[t + 1]
    return returns
