"""The pool of past versions: what it keeps, whom it draws, how it rates."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from broodmind.actors.games.opponent_pool import (
    ACTIVE_OPPONENTS,
    CAPACITY,
    LATEST_SHARE,
    MIN_WEIGHT,
    FixedOpponent,
    Opponent,
    OpponentPool,
    expected_score,
    weights,
)


def version(number):
    pointer = SimpleNamespace(epoch=1, version=number)
    return SimpleNamespace(pointer=pointer, act=lambda *_: (number, None))


def plays(opponent):
    return opponent.act(None, None, None)


def a_pool(*numbers, seed=0):
    pool = OpponentPool(Opponent("random", lambda *_: "random"), np.random.default_rng(seed))
    for number in numbers:
        pool.on_policy(version(number))
    return pool


def test_before_the_first_version_the_random_player_plays_all_games():
    assert {plays(opponent) for opponent in a_pool().draw(50)} == {"random"}


def test_the_pool_stays_bounded_and_covers_the_whole_run_evenly():
    pool = a_pool(*range(1, 1001))
    kept = [int(opponent.name.partition("-")[2]) for opponent in pool.past]
    assert CAPACITY // 2 < len(kept) <= CAPACITY
    assert kept[0] == 1
    assert len(set(np.diff(kept))) == 1
    assert kept[-1] > 1000 - 2 * (kept[1] - kept[0])


def test_a_version_reported_again_is_the_same_one():
    pool, one = a_pool(), version(1)
    for _ in range(5):
        pool.on_policy(one)
    assert len(pool.past) == 1


def test_the_latest_version_has_its_share_of_games_and_few_others_play_at_a_time():
    pool = a_pool(*range(1, 13))
    drawn = pool.draw(4000)
    latest = [opponent for opponent in drawn if opponent.name == "latest"]
    assert len(latest) / 4000 == pytest.approx(LATEST_SHARE, abs=0.05)
    assert plays(latest[0]) == 12
    assert len({opponent.name for opponent in drawn}) == 1 + ACTIVE_OPPONENTS


def test_a_game_against_the_latest_version_continues_against_its_successor():
    pool = a_pool(1)
    latest = next(opponent for opponent in pool.draw(100) if opponent.name == "latest")
    pool.on_policy(version(2))
    assert plays(latest) == 2


def test_a_game_against_a_past_version_continues_against_the_same_version():
    pool = a_pool(1)
    past = next(opponent for opponent in pool.draw(100) if opponent.name == "1-1")
    for number in range(2, 100):
        pool.on_policy(version(number))
    assert plays(past) == 1


def test_every_version_is_drawn_in_the_end():
    pool, names = a_pool(*range(1, 6)), set()
    for number in range(6, 200):
        names |= {opponent.name for opponent in pool.draw(20)}
        pool.on_policy(version(number))
    assert {"latest", "random", "1-1"} <= names


def test_opponents_are_drawn_by_how_hard_they_are():
    easy, even, hard = (Opponent(name, None, score=score) for name, score in (("a", 1.0), ("b", 0.5), ("c", 0.0)))
    expected = np.array([MIN_WEIGHT, MIN_WEIGHT + 0.25, MIN_WEIGHT + 1])
    np.testing.assert_allclose(weights([easy, even, hard]), expected / expected.sum())


def test_a_version_that_beats_us_is_drawn_more_often_than_one_that_does_not():
    pool = a_pool(1, 2)
    weak, strong = pool.past
    for _ in range(300):
        pool.record(weak, 1.0)
        pool.record(strong, 0.0)
    assert weak.score > 0.95
    assert strong.score < 0.05
    drawn = []
    for number in range(3, CAPACITY + 1):  # none is removed yet
        pool.on_policy(version(number))
        drawn += [opponent.name for opponent in pool.draw(200)]
    assert drawn.count(strong.name) > 3 * drawn.count(weak.name)
    assert drawn.count(strong.name) > 300


def test_the_expected_score_is_elos_formula():
    assert expected_score(100, 100) == 0.5
    assert expected_score(400, 0) == pytest.approx(10 / 11)
    assert expected_score(0, 400) == pytest.approx(1 / 11)


def test_the_rating_converges_to_where_the_expected_score_is_the_actual_one():
    pool, rng = a_pool(), np.random.default_rng(0)
    (first,) = pool.draw(1)
    ratings = []
    for _ in range(6000):
        pool.record(first, float(rng.random() < 0.75))
        ratings.append(pool.rating)
    assert np.mean(ratings[2000:]) == pytest.approx(400 * np.log10(3), abs=20)
    assert first.rating == 0


def test_a_version_keeps_the_rating_that_it_joined_with():
    pool = a_pool(1)
    for _ in range(200):
        pool.record(pool.past[0], 1.0)
    risen = pool.rating
    pool.on_policy(version(2))
    assert risen > 100
    assert [opponent.rating for opponent in pool.past] == [0, risen]


def test_games_against_oneself_move_no_rating():
    pool = a_pool(1)
    latest = next(opponent for opponent in pool.draw(100) if opponent.name == "latest")
    pool.record(latest, 1.0)
    assert pool.rating == 0
    assert latest.games == 1


def test_the_heartbeat_names_the_hardest_opponent():
    pool = a_pool(1, 2)
    for _ in range(100):
        pool.record(pool.past[0], 0.0)
    assert pool.metrics()["hardest_opponent"] == "1-1"
    assert float(pool.metrics()["hardest_score"]) < 0.1
    assert int(pool.metrics()["elo"]) < 0
    assert pool.metrics()["opponents"] == "4"


def test_a_fixed_opponent_plays_every_game_and_reports_no_rating():
    opponents = FixedOpponent(Opponent("lookahead", lambda *_: "lookahead"))
    opponents.on_policy(version(1))
    first, second = opponents.draw(2)
    opponents.record(first, 1.0)
    opponents.on_policy(version(2))
    assert {plays(each) for each in (first, second, *opponents.draw(3))} == {"lookahead"}
    assert opponents.metrics() == {}
