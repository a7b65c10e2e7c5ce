"""The arguments of a game: they reach what makes it, and a wrong one is refused by its name."""

from __future__ import annotations

import re

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from broodmind.actors.games.connect_four import ConnectFour
from broodmind.actors.games.gymnasium_adapter import from_factory
from broodmind.actors.games.registry import describe_game, evaluation_games, make_game
from broodmind.common.errors import ConfigError


class Line(gymnasium.Env):
    """A walk along a line of `size` places."""

    action_space = spaces.Discrete(2)

    def __init__(self, size: int = 3, *, start: float = 0.0) -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (size,), np.float32)
        self.shape, self.start = (size,), start

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        return np.full(self.shape, self.start, np.float32), {}

    def step(self, action):
        return np.zeros(self.shape, np.float32), float(action), True, False, {}


@pytest.fixture
def line(run):
    name = f"{run}-line-v0"
    gymnasium.register(name, entry_point=Line, vector_entry_point=vector_line)
    yield name
    del gymnasium.registry[name]


def vector_line(num_envs, size=3):
    return SyncVectorEnv([lambda: Line(size)] * num_envs)


def refused(message, make):
    with pytest.raises(ConfigError, match=rf"^game_args: {re.escape(message)}"):
        make()


def test_arguments_reach_a_factory_for_each_copy():
    game = from_factory("mine:Line", Line, 2, {"size": 5, "start": 0.25})
    assert game.spec.observation_shape == (5,)
    assert (game.reset(1).observations == 0.25).all()


def test_arguments_reach_a_factory_of_all_copies():
    assert from_factory("mine:line", vector_line, 2, {"size": 4}).spec.observation_shape == (4,)


def test_arguments_reach_a_registered_environment():
    game = make_game("FrozenLake-v1", 2, {"map_name": "8x8", "is_slippery": False, "max_episode_steps": 3})
    assert game.spec.observation_shape == (64,)
    game.reset(1)
    assert [game.step(np.zeros(2, np.int32)).truncated.all() for _ in range(3)] == [False, False, True]
    game.close()


def test_an_argument_that_only_the_single_environment_takes_is_not_lost_by_the_vector_entry_point(line):
    assert make_game(line, 1, {"start": 0.75}).reset(1).observations.max() == 0.75
    assert make_game(line, 1, {"size": 6}).spec.observation_shape == (6,)


def test_every_way_to_a_game_takes_its_arguments(line):
    assert describe_game(line, {"size": 7}).observation_shape == (7,)
    assert evaluation_games(line, {"size": 7}) == [line]


def test_an_argument_that_is_not_taken_is_refused_with_those_that_are(line):
    taken = "expected an argument that mine:Line takes: size, start; did you mean size?"
    refused(f"sise=5, {taken}", lambda: from_factory("mine:Line", Line, 1, {"sise": 5}))
    taken = f"expected an argument that {line} takes: size, start, max_episode_steps; did you mean start?"
    refused(f"strat=5, {taken}", lambda: make_game(line, 1, {"strat": 5}))
    refused("size=5, expected none: TinyZerg takes no arguments", lambda: make_game("TinyZerg", 1, {"size": 5}))
    refused(
        "rows=5, expected none: mine:ConnectFour takes no arguments",
        lambda: from_factory("mine:ConnectFour", ConnectFour, 1, {"rows": 5}),
    )
    refused("{'size': 5}, expected none: starcraft2 owns", lambda: describe_game("starcraft2", {"size": 5}))


@pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1", "TinyZerg"])
def test_the_number_of_copies_is_no_argument(name):
    refused("num_envs=5, expected the number of copies as --envs", lambda: make_game(name, 1, {"num_envs": 5}))


def test_an_argument_that_a_factory_needs_is_asked_for():
    def factory(size, level=1):
        return Line(size)

    refused("no size, expected --game-arg size=VALUE: mine:factory", lambda: from_factory("mine:factory", factory, 1))


def test_a_factory_that_takes_any_name_gets_it():
    def factory(**arguments):
        return Line(arguments["anything"])

    assert from_factory("mine:factory", factory, 1, {"anything": 9}).spec.observation_shape == (9,)
