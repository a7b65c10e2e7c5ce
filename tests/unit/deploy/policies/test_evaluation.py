"""Evaluations: each copy plays its quota, what never ends is cut off, and the figures are those of the returns."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from support.drift import Drift, NoisyPlayer

from broodmind import Discrete, GameSpec, Step
from broodmind.actors.inference.policy import Policy
from broodmind.common.errors import SpecMismatch
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import NetworkSpec, RunSpec
from broodmind.common.wire.weights import Pointer
from broodmind.deploy.policies.evaluate_command import in_words
from broodmind.deploy.policies.evaluation import Evaluation, Plan, evaluate, exploration_cost, play, student_t

GAME = GameSpec("lengths", (1,), Discrete(2), wins=True)
SPEC = RunSpec(GAME, NetworkSpec((4,)))


def policy_of(spec=SPEC, seed=0):
    return Policy(Pointer(1, 1, "", "", 0), initial_params(spec.network, spec.game, np.random.default_rng(seed)), spec)


class Lengths:
    """Game k of copy c lasts `lengths[c][k]` steps, and gives a reward of 1 at each; won where its length is even."""

    spec = GAME

    def __init__(self, lengths):
        self._lengths, self.num_envs, self.steps, self.actions = lengths, len(lengths), 0, []

    def reset(self, seed):
        self.seed = seed
        self._game, self._at, self._ended = np.zeros((3, self.num_envs), int)
        return self._step(np.zeros(self.num_envs, np.float32), np.zeros(self.num_envs, np.bool_))

    def step(self, actions):
        self.steps += 1
        self.actions.append(actions)
        starting = self._ended.astype(bool)
        self._game[starting] += 1
        self._at[starting] = 0
        self._at[~starting] += 1
        ends = np.array([each[game % len(each)] for each, game in zip(self._lengths, self._game, strict=True)])
        return self._step((~starting).astype(np.float32), ~starting & (self._at == ends), ends)

    def _step(self, rewards, over, ends=None):
        self._ended = over
        none = np.zeros_like(over)
        wins = none if ends is None else over & (ends % 2 == 0)
        return Step(np.zeros((self.num_envs, 1), np.float32), rewards, over, none, None, wins)

    def close(self):
        pass


def test_each_copy_plays_a_number_of_games_that_is_fixed_before():
    """The first games to finish would all be those of the copy with the short ones."""
    game = Lengths([[2], [20], [9, 4]])
    found = play(policy_of(), game, Plan(5))
    assert sorted(found.returns) == sorted(found.lengths) == [2, 2, 9, 20, 20]
    assert found.wins == 4
    assert (found.episodes, found.cut_off) == (5, 0)
    assert game.steps == 41  # two games of 20 steps, and one reset between them


def test_a_game_that_never_ends_is_cut_off_and_reported():
    found = play(policy_of(), Lengths([[10**9], [3]]), Plan(6, max_episode_steps=50))
    assert sorted(found.returns) == [3, 3, 3, 50]
    assert found.cut_off == 1
    assert found.to_json()["cut_off"] == 1
    assert found.wins == 0


def test_a_seed_repeats_the_games_and_another_or_another_index_does_not():
    seeds = []
    for plan in (Plan(2, 7), Plan(2, 7), Plan(2, 8), Plan(2, 7, (1,))):
        game = Lengths([[3], [3]])
        play(policy_of(), game, plan)
        seeds.append(game.seed)
    assert seeds[0] == seeds[1]
    assert len(set(seeds)) == 3


def test_actions_are_the_most_probable_ones_unless_they_are_drawn():
    games = [Lengths([[40]] * 4) for _ in range(3)]
    for game, sample in zip(games, (False, True, True), strict=True):
        play(policy_of(), game, Plan(4, sample=sample))
    greedy, drawn, again = (np.array(game.actions) for game in games)
    assert len(set(greedy.ravel().tolist())) == 1  # one observation, one action
    assert len(set(drawn.ravel().tolist())) == 2
    np.testing.assert_array_equal(drawn, again)


def test_noise_that_lasts_starts_anew_with_each_game():
    player = NoisyPlayer()
    play(player, Drift(2), Plan(12, sample=True))
    player.check()


def test_an_error_between_two_steps_ends_the_evaluation():
    def stop():
        raise InterruptedError

    game = Lengths([[3]])
    with pytest.raises(InterruptedError):
        play(policy_of(), game, Plan(1), stop)
    assert game.steps == 1


def test_the_figures_are_those_of_the_returns():
    found = Evaluation(np.array([1.0, 2, 3, 6]), np.array([4, 4, 4, 8]), 3)
    # As numpy and the t distribution of scipy have it, with three degrees of freedom.
    assert (found.mean, found.std) == (3.0, pytest.approx(2.160247, abs=1e-6))
    assert found.interval == pytest.approx((-0.437425, 6.437425), abs=2e-3)
    assert found.to_json() == {
        "mean": 3.0,
        "std": 2.16,
        "ci95": [-0.437, 6.437],
        "episodes": 4,
        "length_mean": 5.0,
        "wins": 3,
    }


def test_one_game_has_no_interval_and_no_number_is_nan():
    found = Evaluation(np.array([np.nan]), np.array([1])).to_json()
    assert found == {"mean": None, "std": 0.0, "ci95": None, "episodes": 1, "length_mean": 1.0, "not_finite": 1}
    json.dumps(found, allow_nan=False)


def test_a_mean_that_is_missing_says_why():
    found = Evaluation(np.array([1.0, np.nan, np.inf]), np.array([1, 2, 3]))
    assert (found.not_finite, found.to_json()["not_finite"], found.to_json()["mean"]) == (2, 2, None)
    reason = "no mean, as the game gave rewards that are not finite numbers in 2 games"
    assert in_words(found).endswith(reason)
    assert reason not in in_words(Evaluation(np.array([1.0]), np.array([1])))


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.706), (4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042), (99, 1.984), (10**6, 1.960)]
)
def test_students_quantiles_are_those_of_the_tables(degrees, quantile):
    assert student_t(degrees) == pytest.approx(quantile, abs=1.5e-3)


def test_a_game_that_is_not_the_policys_is_refused_by_the_field():
    with pytest.raises(SpecMismatch, match="observation_shape of game TinyZerg"):
        evaluate(policy_of(), "TinyZerg", Plan(2))


def results(*returns):
    return Evaluation(np.array(returns, np.float64), np.ones(len(returns), np.int64))


def test_the_cost_of_exploration_is_the_difference_of_the_means_with_welchs_interval():
    """By scipy 1.17: ttest_ind(greedy, sampled, equal_var=False).confidence_interval(), with 8.2 degrees of freedom."""
    cost = exploration_cost(results(10, 11, 12, 9, 8), results(4, 6, 2, 5, 3, 4))
    assert cost["mean"] == 6.0
    assert cost["ci95"] == pytest.approx([3.904, 8.096], abs=0.01)


def test_of_single_games_the_cost_of_exploration_has_no_interval():
    assert exploration_cost(results(10), results(4, 6)) == {"mean": 5.0, "ci95": None}


def test_where_all_games_are_alike_the_cost_of_exploration_is_certain():
    assert exploration_cost(results(500, 500), results(500, 500, 500)) == {"mean": 0.0, "ci95": [0.0, 0.0]}


def test_a_return_that_is_not_finite_makes_no_number_of_the_cost_of_exploration():
    assert exploration_cost(results(1, math.inf), results(1, 2)) == {"mean": None, "ci95": None}
