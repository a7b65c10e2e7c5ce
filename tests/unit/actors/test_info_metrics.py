"""Numbers from the infos of games that ended, by name: in Gymnasium's layout, and in what games make of it."""

from __future__ import annotations

from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from broodmind.actors.games.gymnasium_adapter import GymnasiumGame
from broodmind.actors.info_metrics import InfoMetrics
from broodmind.common.errors import ConfigError

ENDED = np.array([True, False, True])


class Counting(gymnasium.Env):
    """Ends after `length` steps; its info has the number of steps, and at the end whether that is even."""

    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(2)

    def __init__(self, length):
        self._length, self._at = length, 0

    def reset(self, **_):
        self._at = 0
        return np.zeros(2, np.float32), {"steps": -1}

    def step(self, _action):
        self._at += 1
        over = self._at == self._length
        return (
            np.zeros(2, np.float32),
            0.0,
            over,
            False,
            {"steps": self._at, **({"even": self._at % 2 == 0} if over else {})},
        )


def test_the_numbers_of_an_environment_s_last_step_are_read():
    game = GymnasiumGame("x", SyncVectorEnv([partial(Counting, length) for length in (2, 3)]))
    metrics = InfoMetrics(["steps", "even"])
    found = []
    game.reset(1)
    for _ in range(7):
        step = game.step(np.zeros(2, np.int64))
        ended = step.terminated | step.truncated
        if ended.any():
            found += metrics.of_games(step.infos, ended)
    game.close()
    two, three = (("even", 1.0), ("steps", 2.0)), (("even", 0.0), ("steps", 3.0))
    assert found == [two, three, two, three]


def test_only_games_that_ended_and_have_the_number_count():
    infos = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([4.0, 5.0, 6.0]), "_b": np.array([False, True, True])}
    assert InfoMetrics(["b", "a"]).of_games(infos, ENDED) == ((("a", 1.0),), (("a", 3.0), ("b", 6.0)))


def test_any_kind_of_number_is_taken_and_objects_that_do_not_count_are_not_looked_at():
    infos = {"a": np.array([7, None, "x"], object), "_a": np.array([True, False, False]), "b": [True, False, True]}
    assert InfoMetrics(["a", "b"]).of_games(infos, ENDED) == ((("a", 7.0), ("b", 1.0)), (("b", 1.0),))


def test_a_number_that_is_not_finite_is_left_out_with_one_warning(caplog):
    metrics = InfoMetrics(["a"])
    for _ in range(2):
        assert metrics.of_games({"a": [float("nan"), 1.0, 2.0]}, ENDED) == ((), (("a", 2.0),))
    assert caplog.text.count("expected a finite number") == 1


def test_a_name_that_no_info_has_is_a_warning_that_lists_those_it_has(caplog):
    metrics = InfoMetrics(["suply"])
    for _ in range(2):
        assert metrics.of_games({"supply": [1, 2, 3], "_supply": [1, 1, 1], "x": [0, 0, 0]}, ENDED) == ()
    assert caplog.text.count("left out") == 1
    assert "metric suply left out: not in the infos of a game that ended; they have supply, x" in caplog.text


def test_a_name_that_no_game_has_reported_is_missing_until_one_has():
    told = []
    metrics = InfoMetrics(["suply", "late", "x"], told.append)
    assert metrics.missing == ""  # no game has ended
    infos = {
        "supply": [1, 2, 3], "x": [0, 0, 0], "map": ["a", "b", "c"], "only column 1": [0, 1, 0],
        "_only column 1": [False, True, False], "late": [0, 5, 0], "_late": [False, True, False],
    }  # fmt: skip
    for _ in range(2):
        metrics.of_games(infos, ENDED)
    assert metrics.missing == "metric late, suply: reported by no game that has ended; their infos have supply, x"
    assert [text.split()[1] for text in told] == ["late", "suply"]
    metrics.of_games({**infos, "late": [4, 5, 6], "_late": [True, True, True]}, ENDED)
    assert metrics.missing == "metric suply: reported by no game that has ended; their infos have supply, x"
    assert len(told) == 2


@pytest.mark.parametrize("values", [["a", "b", "c"], [[1, 2], 3, 4], [1.0, 2.0], 5.0])
def test_what_is_not_a_number_a_game_is_an_error_that_shows_it(values):
    with pytest.raises(ConfigError, match=r"metric: 'a' is .* in the infos, expected one number a game"):
        InfoMetrics(["a"]).of_games({"a": values}, ENDED)


def test_a_game_without_infos_has_none_to_offer():
    with pytest.raises(ConfigError, match="metric: a, expected none: the game gives no infos"):
        InfoMetrics(["a"]).of_games(None, ENDED)
