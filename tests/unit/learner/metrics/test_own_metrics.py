"""The means of the games' own metrics, held against the mean over the last games."""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.common.own_metrics import NAMES_MAX
from broodmind.common.wire import codec
from broodmind.learner.metrics.own_metrics import OwnMetricsHistory

GAMES = 10


def restored(history):
    again = OwnMetricsHistory(GAMES)
    again.restore(codec.decode(codec.encode(history.state()), max_bytes=1 << 20, max_list=999, max_map=999))
    return again


def test_means_are_over_those_of_the_last_games_that_have_the_name():
    rng, history, played = np.random.default_rng(3), OwnMetricsHistory(GAMES), []
    for number in range(40):
        games = []
        for _ in range(int(rng.integers(0, 4))):
            own = {"a": float(rng.normal())} if rng.random() < 0.5 else {}
            games.append(tuple((own | ({"b": float(number)} if number > 20 else {})).items()))
        played += games
        history.add(games if any(games) else [], len(games))
        history = restored(history) if number % 7 == 0 else history
        last = [dict(game) for game in played[-GAMES:]]
        expected = {name: np.mean(values) for name in "ab" if (values := [own[name] for own in last if name in own])}
        assert history.means() == pytest.approx(expected)


def test_a_run_without_any_has_none():
    history = OwnMetricsHistory(GAMES)
    history.add([], 5)
    assert (history.means(), history.state()) == ({}, {"values": {}, "ignored": 0})


def test_a_run_has_so_many_names_and_what_is_beyond_them_is_counted():
    history = OwnMetricsHistory(GAMES)
    for number in range(NAMES_MAX + 3):
        history.add([((f"n{number:03}", 1.0),)], 1)
        if number < GAMES:
            assert len(history.means()) == number + 1
    # Names that none of the last ten games has made room for others.
    assert history.ignored == 0
    assert sorted(history.means()) == [f"n{number:03}" for number in range(NAMES_MAX + 3 - GAMES, NAMES_MAX + 3)]
    history.add([tuple((f"m{number:03}", 1.0) for number in range(NAMES_MAX))], 1)
    assert history.ignored == GAMES  # as the last ten games had ten other names
    assert len(history.means()) == NAMES_MAX - 1  # the oldest of which has left with its game
    assert restored(history).ignored == GAMES


@pytest.mark.parametrize("values", [["x"], [float("nan")], [1e16], [[]]])
def test_a_state_that_is_none_is_refused(values):
    with pytest.raises(TypeError):
        OwnMetricsHistory(GAMES).restore({"values": {"a": values}, "ignored": 0})
