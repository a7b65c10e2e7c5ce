"""Each array of a user's VectorGame is checked at each step, and named if it does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from broodmind.actors.games.checks.checked_game import CheckedGame, StepCheck
from broodmind.actors.games.registry import make_game
from broodmind.actors.games.vector_game import Step
from broodmind.common.actions import Discrete
from broodmind.common.errors import GameError
from broodmind.common.spec import GameSpec

SPEC = GameSpec("mine", (4,), Discrete(2), masked=True)
NONE = np.zeros(3, np.bool_)
GOOD = Step(np.zeros((3, 4), np.float32), np.zeros(3, np.float32), NONE, NONE, np.ones((3, 2), np.bool_))


class Own:
    spec, num_envs = SPEC, 3

    def __init__(self, step):
        self.made = step

    def reset(self, _seed):
        return GOOD

    def step(self, _actions):
        return self.made

    def close(self):
        raise OSError("gone")


def test_a_step_that_fits_is_passed_on():
    game = CheckedGame("mine", Own(GOOD))
    assert (game.reset(1), game.step([0] * 3), game.spec, game.num_envs) == (GOOD, GOOD, SPEC, 3)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"observations": np.zeros((3, 1), np.float32)}, "observations: shape (3, 1), expected (3, 4)"),
        ({"observations": np.zeros((3, 4), np.uint8)}, "observations: dtype uint8, expected float32"),
        ({"rewards": np.zeros((3, 1), np.float32)}, "rewards: shape (3, 1), expected (3,)"),
        ({"terminated": np.zeros(3, np.int8)}, "terminated: dtype int8, expected bool"),
        ({"truncated": np.zeros(2, np.bool_)}, "truncated: shape (2,), expected (3,)"),
        ({"masks": None}, "masks: none, expected some"),
        ({"masks": np.ones((3, 3), np.bool_)}, "masks: shape (3, 3), expected (3, 2)"),
        ({"masks": np.ones((3, 2), np.int8)}, "masks: dtype int8, expected bool"),
        (
            {"masks": np.array([[True, False], [True, True], [False, False]])},
            "masks: allows no option in copy 2, expected at least one while the game goes on",
        ),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_it(change, problem):
    with pytest.raises(GameError) as raised:
        CheckedGame("mine", Own(replace(GOOD, **change))).step([0] * 3)
    assert str(raised.value) == f"game mine: step: {problem}"


def test_a_game_that_has_ended_may_allow_nothing():
    ended = np.array([False, False, True])
    masks = np.array([[True, False], [True, True], [False, False]])
    assert StepCheck(SPEC, 3)(replace(GOOD, masks=masks, terminated=ended)) is None
    assert StepCheck(SPEC, 3)(replace(GOOD, masks=masks, truncated=ended)) is None


def test_masks_of_a_game_without_them_are_refused():
    assert StepCheck(replace(SPEC, masked=False), 3)(GOOD) == "masks: some, expected none"


def test_an_error_in_close_is_told_with_its_place():
    with pytest.raises(GameError, match=r"^game mine: OSError: gone \(.*test_checked_game.py:\d+, in close\)$"):
        CheckedGame("mine", Own(GOOD)).close()


def test_games_of_gymnasium_are_checked_and_built_in_ones_are_not():
    assert isinstance(make_game("CartPole-v1", 1), CheckedGame)
    assert not isinstance(make_game("TinyZerg", 1), CheckedGame)
