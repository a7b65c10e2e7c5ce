"""The best version by greedy games: by which games it is chosen, and by which others it is judged."""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.common.wire import codec
from broodmind.common.wire.weights import Pointer
from broodmind.learner.run.best_version import GAMES, BestVersion


def pointer(version):
    return Pointer(1, version, f"c{version}", "d", 10)


def games(version, returns, wins=None):
    return [(1, version, float(total), won) for total, won in zip(returns, wins or [None] * len(returns), strict=True)]


def evaluate(best, version, total):
    """Make a version the candidate and give it just as many games as it needs."""
    best.begin(pointer(version), 100 * version)
    return best.arrive(games(version, [total] * GAMES))


def test_a_version_is_compared_once_it_has_enough_games():
    best = BestVersion(0.1)
    assert best.wants_candidate
    best.begin(pointer(3), 300)
    assert not best.wants_candidate
    assert best.arrive(games(3, [1.0] * (GAMES - 1), [1.0] * (GAMES - 1))) is None
    assert best.plan.best is None
    chosen = best.arrive(games(3, [1.0 + GAMES], [0.0]))
    assert chosen.is_best
    assert chosen.line == {
        "version": 3, "epoch": 1, "steps": 300, "mean": 2.0,
        "std": pytest.approx(np.std([1.0] * (GAMES - 1) + [1.0 + GAMES])), "episodes": GAMES, "wins": GAMES - 1,
    }  # fmt: skip
    assert (best.plan.share, best.plan.candidate, best.plan.best) == (0.1, pointer(3), pointer(3))


def test_the_best_is_judged_by_games_that_it_was_not_chosen_by():
    best = BestVersion(0.1)
    evaluate(best, 3, 9.0)
    assert best.summary()["evaluation_best"] is None  # none has come since
    assert not best.wants_candidate  # it is played on
    best.arrive(games(3, [5.0] * 7))
    found = best.summary()["evaluation_best"]
    assert (found["version"], found["mean"], found["episodes"]) == (3, 5.0, 7)
    assert found["chosen_by"] == {"mean": 9.0, "std": 0.0, "episodes": GAMES, "wins": None}
    best.arrive(games(3, [5.0] * (GAMES - 7)))
    assert best.wants_candidate
    assert best.summary()["evaluation"]["episodes"] == 2 * GAMES


def test_a_version_that_is_no_better_does_not_stay():
    best = BestVersion(0.1)
    evaluate(best, 3, 2.0)
    best.arrive(games(3, [2.0] * GAMES))
    assert not evaluate(best, 5, 2.0).is_best
    assert best.wants_candidate
    assert (best.plan.candidate, best.plan.best) == (pointer(5), pointer(3))
    assert best.summary()["evaluation"]["version"] == 5
    assert evaluate(best, 9, 2.5).is_best
    assert best.plan.best == pointer(9)


def test_games_of_another_version_say_nothing_of_the_candidate():
    best = BestVersion(0.1)
    best.begin(pointer(3), 300)
    best.arrive(games(2, [100.0] * 50))
    best.arrive([(2, 3, 100.0, None)] * 50)  # of another lineage
    assert best.arrive(games(3, [1.0] * GAMES)).line["mean"] == 1.0


def test_late_games_count_for_the_version_that_played_them():
    best = BestVersion(0.1)
    evaluate(best, 3, 1.0)
    best.arrive(games(3, [1.0] * GAMES))
    evaluate(best, 5, 0.0)
    best.begin(pointer(7), 700)
    best.arrive(games(3, [4.0] * 5) + games(5, [4.0]))
    assert best.summary()["evaluation_best"]["episodes"] == GAMES + 5
    assert best.summary()["evaluation"]["episodes"] == GAMES + 1


def test_without_a_share_nothing_is_evaluated():
    best = BestVersion(0.0)
    assert not best.wants_candidate
    assert not best.known
    assert best.metrics() == {}
    assert best.summary() == {"evaluation": None, "evaluation_best": None}


def test_the_figures_are_of_one_version():
    best = BestVersion(0.1)
    evaluate(best, 3, 1.0)
    best.arrive(games(3, [1.0] * GAMES))
    best.begin(pointer(5), 500)
    best.arrive(games(5, [9.0] * 3))
    assert best.metrics() == {"eval_version": 3, "eval_games": 2 * GAMES, "eval_return_mean": "1"}


def test_a_restored_one_goes_on_as_if_nothing_had_been():
    best = BestVersion(0.1)
    best.begin(pointer(3), 300)
    best.arrive(games(3, range(GAMES), [1.0, 0.0] * (GAMES // 2)))
    best.arrive(games(3, [3.0, 5.0], [0.0, 1.0]))
    stored = codec.decode(codec.encode(best.state()), max_bytes=1 << 20)
    successor = BestVersion(0.1)
    successor.restore(stored)
    for each in (best, successor):
        each.arrive(games(3, [7.0] * 3, [1.0] * 3))
    assert successor.state() == best.state()
    assert successor.summary() == best.summary()
    assert successor.plan == best.plan


def test_a_candidate_whose_learner_died_is_given_up_and_the_best_stays():
    best = BestVersion(0.1)
    evaluate(best, 3, 1.0)
    best.arrive(games(3, [1.0] * GAMES))
    best.begin(pointer(5), 500)
    best.interrupted()
    assert best.wants_candidate
    assert (best.plan.candidate, best.plan.best) == (None, pointer(3))
    assert best.arrive(games(5, [9.0] * GAMES)) is None
