"""Observation spaces: every kind becomes the array that Gymnasium's own flattening gives, or is refused by name."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.spaces.utils import flatten, flatten_space
from gymnasium.vector.utils import batch_space

from broodmind.actors.games.adapter.observation_space import observation_layout
from broodmind.common.errors import ConfigError

SPACES = {
    "dict": spaces.Dict({"place": spaces.Discrete(3, start=2), "speed": spaces.Box(-1, 1, (2,))}),
    "nested": spaces.Dict({
        "b": spaces.Tuple([spaces.MultiBinary((2, 2)), spaces.Dict({"x": spaces.Box(-1, 1, ())})]),
        "a": spaces.Discrete(2),
    }),
    "tuple": spaces.Tuple([spaces.Discrete(2), spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[0, 1], [2, 3]])]),
    "discrete": spaces.Discrete(4, start=-1),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(4),
    "integers": spaces.Dict({"n": spaces.Box(0, 9, (2, 2), np.int64), "m": spaces.Box(0, 3, (2,), np.uint8)}),
}  # fmt: skip


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_batch_is_flattened_as_gymnasium_flattens_each_observation(space):
    layout = observation_layout("game", space)
    assert (layout.dtype, layout.masked) == ("float32", False)
    assert int(np.prod(layout.shape)) == flatten_space(space).shape[0]
    many = batch_space(space, 5)
    many.seed(1)
    batch = many.sample()
    expected = [flatten(space, each) for each in gymnasium.vector.utils.iterate(many, batch)]
    flat = layout.array(batch, 5)
    assert flat.dtype == np.float32
    np.testing.assert_allclose(flat.reshape(5, -1), np.array(expected), rtol=1e-6)


def test_an_image_beside_numbers_is_scaled_and_images_alone_stay_bytes():
    camera = spaces.Box(0, 255, (2, 2), np.uint8)
    mixed = observation_layout("game", spaces.Dict({"camera": camera, "speed": spaces.Box(-9, 9, (1,))}))
    seen = {"camera": np.full((3, 2, 2), 51, np.uint8), "speed": np.full((3, 1), 7.0)}
    np.testing.assert_allclose(mixed.array(seen, 3), [[0.2] * 4 + [7.0]] * 3, rtol=1e-6)
    both = observation_layout("game", spaces.Dict({"left": camera, "right": camera}))
    assert (both.dtype, both.shape) == ("uint8", (8,))
    assert both.array({"left": seen["camera"], "right": seen["camera"]}, 3).tolist() == [[51] * 8] * 3


def test_the_mask_beside_an_observation_is_no_part_of_it():
    space = spaces.Dict({"observation": spaces.Box(-1, 1, (3,)), "action_mask": spaces.MultiBinary(2)})
    layout = observation_layout("game", space)
    assert (layout.masked, layout.shape) == (True, (3,))
    inner = observation_layout("game", spaces.Dict({"player": space}))
    assert (inner.masked, inner.shape) == (False, (5,))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            spaces.Text(3),
            r"observation space of game: Text\(.*; gymnasium.wrappers.TransformObservation makes a",
        ),
        (
            spaces.Dict({"log": spaces.Text(3), "x": spaces.Discrete(2)}),
            r"observation space\['log'\] of game: Text\(.*gymnasium.wrappers.FilterObservation leaves it out$",
        ),
        (
            spaces.Tuple([spaces.Dict({"units": spaces.Sequence(spaces.Discrete(2))})]),
            r"observation space\[0\]\['units'\] of game: Sequence\(",
        ),
        (spaces.Graph(spaces.Discrete(2), None), r"observation space of game: Graph\("),
        (spaces.Dict({}), r"observation space of game: Dict\(\), expected at least one number"),
    ],
)
def test_a_space_that_cannot_be_taken_is_refused_with_the_wrapper_that_helps(space, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        observation_layout("game", space)
