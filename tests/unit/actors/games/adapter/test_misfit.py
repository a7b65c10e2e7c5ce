"""What of an observation is not of its space: the place in it, the value, and what is expected."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from broodmind.actors.games.adapter.misfit import observation_problem

BOX = spaces.Box(-1, 1, (2,))
BOTH = spaces.Dict({"x": BOX, "y": spaces.Tuple([spaces.Discrete(2), BOX])})
GOOD = np.zeros(2, np.float32)


def test_an_observation_of_its_space_has_no_problem():
    assert observation_problem(BOTH, {"x": GOOD, "y": (1, [0, 0.5])}) is None


@pytest.mark.parametrize(
    ("observation", "problem"),
    [
        ({"x": GOOD}, "observation: ['x'], expected a dict of ['x', 'y']"),
        (GOOD, "observation: ndarray, expected a dict of ['x', 'y']"),
        ({"x": GOOD, "y": (1,)}, "observation['y']: 1, expected a tuple of 2"),
        ({"x": np.zeros(3), "y": (1, GOOD)}, "observation['x']: shape (3,), expected (2,)"),
        ({"x": None, "y": (1, GOOD)}, f"observation['x']: None, expected {BOX}"),
        ({"x": ["a", "b"], "y": (1, GOOD)}, f"observation['x']: list of <U1, expected {BOX}"),
        ({"x": [[1], [1, 2]], "y": (1, GOOD)}, f"observation['x']: rows of several lengths, expected {BOX}"),
        ({"x": GOOD, "y": (1, [0, np.nan])}, "observation['y'][1]: nan, expected finite numbers"),
    ],
)
def test_a_problem_is_named_with_its_place(observation, problem):
    assert observation_problem(BOTH, observation) == problem
