"""Which of the parameters belong to the policy, and which to the value function."""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.common.actions import Box, Discrete
from broodmind.common.spec import GameSpec, NetworkSpec
from broodmind.learner.maths.flat_parameters import Parameters


@pytest.mark.parametrize("actions", [Discrete(3), Box((-1.0,) * 2, (1.0,) * 2)])
def test_policy_and_value_function_are_apart_and_together_all(actions):
    params = Parameters(NetworkSpec(hidden=(5, 4)), GameSpec("x", (6,), actions))
    policy, value = params.apart
    for view in policy:
        view[...] = 1
    for view in value:
        view[...] = 2
    assert set(params.flat.tolist()) == {1.0, 2.0}
    assert {float(np.unique(view).item()) for name, view in params.views.items() if name.startswith("policy/")} == {1.0}
    assert {float(np.unique(view).item()) for name, view in params.views.items() if name.startswith("value/")} == {2.0}


def test_with_shared_layers_there_is_one_part():
    params = Parameters(NetworkSpec(hidden=(5, 4), shared=True), GameSpec("x", (6,), Discrete(3)))
    ((every,),) = params.apart
    assert every is params.flat
