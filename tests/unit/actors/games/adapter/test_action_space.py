"""Action spaces: what the policy chooses, and that whatever the environment is handed is in its space."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate

from broodmind.actors.games.adapter.action_space import ActionAdapter
from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.errors import ConfigError

VAST = np.finfo(np.float64).max
CHOICES = {
    "discrete": (spaces.Discrete(3, start=-1), (3,)),
    "multi_discrete": (spaces.MultiDiscrete([3, 2], start=[5, -5]), (3, 2)),
    "matrix": (spaces.MultiDiscrete([[2, 3], [4, 5]]), (2, 3, 4, 5)),
    "multi_binary": (spaces.MultiBinary((2, 2)), (2, 2, 2, 2)),
    "tuple": (spaces.Tuple([spaces.Discrete(3, start=1), spaces.MultiBinary(2)]), (3, 2, 2)),
    "dict": (
        spaces.Dict({"b": spaces.Discrete(2), "a": spaces.Tuple([spaces.Discrete(4), spaces.MultiDiscrete([2, 3])])}),
        (4, 2, 3, 2),
    ),
}
BOXES = {
    "edge": spaces.Box(-0.1, 0.3, (2,), np.float64),
    "vast": spaces.Box(-VAST, VAST, (2,), np.float64),
    "single": spaces.Box(np.array([-0.1, 1e-3], np.float32), np.array([0.7, 0.3], np.float32)),
    "half": spaces.Box(-0.1, 0.3, (2,), np.float16),
    "integers": spaces.Box(-3, 4, (2,), np.int64),
    "tuple": spaces.Tuple([spaces.Box(-0.1, 0.3, (1,), np.float64), spaces.Box(0, 1, (1,))]),
}


def env_actions(space, actions):
    """The action of each copy, as a vector environment hands it over."""
    batch = ActionAdapter("game", space).to_env(actions)
    return list(iterate(batch_space(space, len(actions)), batch))


@pytest.mark.parametrize(("space", "sizes"), CHOICES.values(), ids=CHOICES)
def test_every_choice_of_the_policy_is_another_action_of_the_space(space, sizes):
    adapter = ActionAdapter("game", space)
    single = isinstance(space, spaces.Discrete)
    assert adapter.actions == (Discrete(sizes[0]) if single else MultiDiscrete(sizes))
    every = np.array(list(np.ndindex(*sizes)), np.int32)
    told = env_actions(space, every[:, 0] if single else every)
    assert all(space.contains(each) for each in told)
    assert len({repr(each) for each in told}) == len(every)


def test_choices_are_in_the_order_of_the_space():
    space, _ = CHOICES["dict"]
    (told,) = env_actions(space, np.array([[3, 1, 2, 0]], np.int32))
    assert (told["a"][0], told["a"][1].tolist(), told["b"]) == (3, [1, 2], 0)


@pytest.mark.parametrize("space", BOXES.values(), ids=BOXES)
def test_numbers_are_in_the_bounds_whatever_the_policy_says(space):
    adapter = ActionAdapter("game", space)
    assert isinstance(adapter.actions, Box)
    rng = np.random.default_rng(1)
    actions = np.concatenate([
        [[-1, 1], [1, -1], [1, 1], [np.inf, -np.inf], [np.nan, np.nan]],
        rng.uniform(-1, 1, (200, 2)), np.nextafter([[1, -1]], 0),
    ]).astype(np.float32)  # fmt: skip
    told = env_actions(space, actions)
    assert all(space.contains(each) for each in told)


def test_the_ends_and_the_middle_of_the_policys_range_are_those_of_the_box():
    space = spaces.Box(-0.1, 0.3, (1,), np.float64)
    told = np.concatenate(env_actions(space, np.array([[-1], [0], [1], [np.nan]], np.float32)))
    np.testing.assert_allclose(told, [-0.1, 0.1, 0.3, 0.1])


def test_no_box_of_short_decimals_is_left_by_a_rounding_error():
    bounds = np.random.default_rng(0).integers(-100, 100, (300, 2)) / 100
    for low, high in np.sort(bounds + np.array([0.0, 0.001]), axis=1):
        space = spaces.Box(low, high, (1,), np.float64)
        assert all(space.contains(each) for each in env_actions(space, np.array([[1], [-1]], np.float32)))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            spaces.Box(-np.inf, np.inf, (2,)),
            r"action space of game: Box\(.*, expected finite bounds; .*Transform",
        ),
        (
            spaces.Dict({"turn": spaces.Box(0, np.inf, (1,))}),
            r"action space\['turn'\] of game: Box\(.*, expected finite bounds; gymnasium.wrappers.TransformAction",
        ),
        (
            spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (1,))]),
            r"action space of game: Tuple\(.*, expected choices only or bounded boxes only; .*DiscretizeAction",
        ),
        (spaces.Text(3), r"action space of game: Text\(.*, expected Discrete, .*; gymnasium.wrappers.TransformAction"),
    ],
)
def test_a_space_that_cannot_be_taken_is_refused_with_the_wrapper_that_helps(space, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        ActionAdapter("game", space)
