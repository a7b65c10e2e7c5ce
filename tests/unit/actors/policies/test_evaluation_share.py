"""Which games of a client evaluate the policy: the share is exact, and follows no pattern of the games."""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.actors.policies.evaluation_share import is_evaluation


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 1 / 3, 0.3, 0.5, 0.7, 0.9, 0.999])
@pytest.mark.parametrize("seed", [0, 1, 2**63 + 5])
def test_of_any_number_of_games_the_share_is_exact_within_one(share, seed):
    chosen = np.cumsum([is_evaluation(number, share, seed) for number in range(5000)])
    wanted = share * np.arange(1, 5001)
    assert abs(chosen - wanted).max() <= 1 + 1e-9


def test_without_a_share_there_are_none():
    assert not any(is_evaluation(number, 0.0, 1) for number in range(100))


def test_games_that_alternate_between_opponents_are_evaluated_against_each():
    chosen = [number for number in range(4000) if is_evaluation(number, 0.1, 7)]
    by_opponent = np.bincount([number % 10 for number in chosen], minlength=10)
    assert by_opponent.min() > 20  # of 40; with one of every ten in turn it would be 400 against one of them


def test_processes_of_a_single_game_have_their_share_too():
    assert 60 < sum(is_evaluation(0, 0.1, seed) for seed in range(1000)) < 145


def test_the_same_seed_makes_the_same_choice():
    one, other, third = ([is_evaluation(n, 0.2, seed) for n in range(200)] for seed in (3, 3, 4))
    assert one == other != third
