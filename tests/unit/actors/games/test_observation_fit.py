"""A game whose states are resized: what passes through, and what is changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from broodmind.actors.games.observation_fit import fit_states, fitted_game
from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.common.errors import WireError
from broodmind.common.spec import NetworkSpec, RolloutSpec, RunSpec


class Game(TinyZerg):
    closed = False

    def close(self):
        self.closed = True


def a_run(features, fit):
    spec = replace(TinyZerg.spec, observation_shape=(features,))
    return RunSpec(spec, NetworkSpec(), RolloutSpec(observation_fit=fit))


def test_a_game_with_the_runs_observation_length_is_not_wrapped():
    game = TinyZerg(2)
    assert fitted_game(game, a_run(TinyZerg.spec.features, "pad")) is game


@pytest.mark.parametrize("more", [-3, 5])
def test_only_observations_are_resized_and_close_closes_the_wrapped_game(more):
    inner, plain = Game(2), TinyZerg(2)
    features = TinyZerg.spec.features + more
    game = fitted_game(inner, a_run(features, "pad"))
    assert (game.num_envs, game.spec.observation_shape) == (2, (features,))
    actions = np.zeros(2, np.int32)
    for ours, theirs in ((game.reset(1), plain.reset(1)), (game.step(actions), plain.step(actions))):
        np.testing.assert_array_equal(ours.observations, fit_states(theirs.observations, features, "pad"))
        np.testing.assert_array_equal(ours.rewards, theirs.rewards)
    assert not inner.closed
    game.close()
    assert inner.closed


@pytest.mark.parametrize(
    ("fit", "features", "message"),
    [
        ("exact", 2, r"states: 3 features, expected 2 \(--observation-fit cut"),
        ("exact", 4, r"states: 3 features, expected 4 \(--observation-fit pad"),
        ("cut", 4, r"states: 3 features, expected 4 \(--observation-fit pad"),
    ],
)
def test_another_length_is_refused_with_the_option_that_would_allow_it(fit, features, message):
    with pytest.raises(WireError, match=message):
        fit_states(np.ones((1, 3), np.float32), features, fit)
