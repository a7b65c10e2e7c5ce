"""Play that cannot be trained on costs its own column only, and is told by the name of the field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from broodmind.actors.rollout import Fragment
from broodmind.actors.unusable_play import first_problem, unusable_columns, with_unusable_apart
from broodmind.common.actions import Discrete
from broodmind.common.observation_parts import ObservationPart
from broodmind.common.spec import GameSpec
from broodmind.common.wire.entry_header import Episodes
from broodmind.common.wire.trajectory import Trajectory
from broodmind.common.wire.weights import Pointer

GAME = GameSpec("game", (2, 2), Discrete(2))
PARTS = (ObservationPart(("place",), "one_hot", (), (2,), (0,)), ObservationPart(("camera",), "numbers", (1, 2)))
POINTER = Pointer(1, 1, "c", "d", 0)
NAN, BIG = np.float32(np.nan), np.float32(2e9)


def played(columns=3, steps=4):
    """Games that all end in step 1, with return 1, 2, and so on."""
    ended = np.zeros((steps, columns), np.bool_)
    ended[1] = True
    valid = np.ones((steps, columns), np.bool_)
    valid[2] = False
    return Trajectory(
        observations=np.zeros((steps + 1, columns, 2, 2), np.float32),
        actions=np.zeros((steps, columns), np.int32),
        log_probs=np.zeros((steps, columns), np.float32),
        rewards=np.zeros((steps, columns), np.float32),
        terminated=ended,
        truncated=np.zeros_like(ended),
        valid=valid,
        episodes=Episodes(tuple(range(1, columns + 1)), (2,) * columns, (7,) * columns),
    )


def parts_of(trajectory):
    return with_unusable_apart([Fragment(trajectory, (POINTER, POINTER))], GAME)


def test_sound_play_is_passed_on_as_it_is():
    fragments = [Fragment(played(), (POINTER, POINTER))]
    parts, problem = with_unusable_apart(fragments, GAME)
    assert (parts[0] is fragments[0], problem) == (True, "")


@pytest.mark.parametrize(
    ("field", "at", "value", "problem"),
    [
        ("observations", (4, 1, 0, 1), NAN, "observation[0][1]: nan, expected a finite number (copy 1)"),
        ("observations", (0, 1, 1, 0), np.inf, "observation[1][0]: inf, expected a finite number (copy 1)"),
        ("rewards", (3, 1), NAN, "reward: nan, expected a finite number of at most 1e+09 either way (copy 1)"),
        ("rewards", (3, 1), BIG, "reward: 2e+09, expected a finite number of at most 1e+09 either way (copy 1)"),
    ],
)
def test_one_game_costs_its_own_column_and_no_other(field, at, value, problem):
    trajectory = played()
    getattr(trajectory, field)[at] = value
    parts, told = parts_of(trajectory)
    assert told == problem
    assert [part.trajectory.valid.shape[1] for part in parts] == [2, 1]
    assert [part.trajectory.episodes.returns for part in parts] == [(1, 3), (2,)]
    assert unusable_columns(parts[0].trajectory) is None
    assert sum(part.trajectory.steps for part in parts) == trajectory.steps


def test_huge_and_opposite_numbers_are_not_taken_for_infinite():
    trajectory = played()
    trajectory.observations[:, 0] = 3e38
    assert unusable_columns(trajectory) is None


def test_the_return_of_a_game_that_had_an_unusable_reward_before_is_unusable():
    trajectory = played()
    trajectory = replace(trajectory, episodes=replace(trajectory.episodes, returns=(1, float("nan"), 3)))
    assert [len(part.trajectory.episodes) for part in parts_of(trajectory)[0]] == [2, 1]
    assert unusable_columns(trajectory).tolist() == [False, True, False]


def test_a_fragment_without_a_usable_column_is_one_part():
    trajectory = played()
    trajectory.rewards[:] = np.nan
    parts, _ = parts_of(trajectory)
    assert [part.trajectory.valid.shape[1] for part in parts] == [3]


def test_a_part_of_the_observation_is_named():
    trajectory = played()
    trajectory.observations[0, 2, 1, 1] = np.nan
    game = replace(GAME, observation_shape=(4,), observation_parts=PARTS)
    assert first_problem(trajectory, game).startswith("observation camera[0][1]: nan")


def test_bytes_are_always_finite():
    trajectory = replace(played(), observations=np.full((5, 3, 2, 2), 255, np.uint8))
    assert unusable_columns(trajectory) is None
