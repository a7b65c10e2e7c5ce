"""The policy's rate follows the KL divergence, and the value function's does not."""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.common.actions import Box, Discrete
from broodmind.common.spec import GameSpec, NetworkSpec
from broodmind.learner.algorithms.policy_rate import PolicyRate
from broodmind.learner.maths.flat_parameters import Parameters
from broodmind.learner.maths.optimizers import make_optimizer

GAMES = [GameSpec("choice", (3,), Discrete(4)), GameSpec("number", (3,), Box((-1.0,), (1.0,)))]
each_optimizer = pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])


def moves(name, network, game, factors, *, wrapped):
    """What some steps, each with a factor of its own, move the parameters by, by name."""
    params, rng = Parameters(network, game, np.float64), np.random.default_rng(1)
    params.flat[...] = rng.normal(size=params.flat.size)
    optimizer = make_optimizer(name, params.flat.size)
    for factor in factors:
        before, gradient = params.copy(), rng.normal(size=params.flat.size)
        if wrapped:
            PolicyRate(optimizer, params, factor).step(params.flat, gradient, 0.01)
        else:
            optimizer.step(params.flat, gradient, 0.01 * factor)
    return {part: view - before.views[part] for part, view in params.views.items()}


@each_optimizer
@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.name)
@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
def test_only_the_value_functions_own_parameters_keep_the_rate(name, game, shared):
    network = NetworkSpec((6, 5), shared=shared)
    found = moves(name, network, game, [0.25], wrapped=True)
    slow = moves(name, network, game, [0.25], wrapped=False)
    full = moves(name, network, game, [1.0], wrapped=False)
    for part, move in found.items():
        expected = full if part.startswith("value/") else slow
        np.testing.assert_allclose(move, expected[part], rtol=1e-5, err_msg=part)
        assert np.abs(full[part] - slow[part]).max() > 1e-4


@each_optimizer
def test_an_optimizers_moments_do_not_depend_on_the_factor(name):
    """Each step has a factor of its own: what was there before has left no trace in the optimizer's state."""
    network, game = NetworkSpec((6,)), GAMES[0]
    found = moves(name, network, game, [0.1, 4.0, 0.5, 1.0], wrapped=True)
    steady = moves(name, network, game, [1.0, 1.0, 1.0, 1.0], wrapped=False)
    if name != "adamw":  # its decay is of the parameters, which are others
        for part, move in found.items():
            np.testing.assert_allclose(move, steady[part], rtol=1e-5, err_msg=part)


def test_its_state_is_the_optimizers():
    game, network = GAMES[0], NetworkSpec((6,))
    params = Parameters(network, game)
    optimizer, other = (make_optimizer("adam", params.flat.size) for _ in range(2))
    PolicyRate(optimizer, params, 0.5).step(params.flat, np.ones_like(params.flat), 0.01)
    PolicyRate(other, params, 2.0).restore(PolicyRate(optimizer, params, 0.5).state())
    for part, array in optimizer.state().items():
        np.testing.assert_array_equal(other.state()[part], array)
