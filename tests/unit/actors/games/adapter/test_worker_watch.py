"""A worker process of an AsyncVectorEnv that dies ends the game, and does not hang it."""

from __future__ import annotations

import os

import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv
from support.environments import Plain
from support.servers import PATIENCE_S

from broodmind.actors.games.gymnasium_adapter import GymnasiumGame
from broodmind.common.errors import GameCrashed, GameError

# Workers are forked here, where another test may have imported JAX, which warns of that.
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")


class Dies(Plain):
    def step(self, action):
        if action == 1:
            os._exit(8)
        if action == 2:
            raise RuntimeError("no such door")
        return super().step(action)


@pytest.fixture
def env():
    return AsyncVectorEnv([Dies] * 2)


@pytest.fixture
def game(env):
    made = GymnasiumGame("dies", env, masked=False)
    made.reset(1)
    made.step(np.zeros(2, np.int32))
    yield made
    made.close()


def test_a_worker_that_dies_is_named_with_its_exit_code_and_the_others_are_ended(game, env):
    with pytest.raises(GameCrashed, match=r"^game dies: worker process 1 ended with exit code 8$"):
        game.step(np.array([0, 1], np.int32))
    for worker in env.processes:
        worker.join(PATIENCE_S)
        assert not worker.is_alive()


@pytest.mark.filterwarnings("ignore")  # Gymnasium's, with the worker's traceback
def test_an_error_in_a_worker_is_its_own(game):
    with pytest.raises(GameError, match=r"^game dies: RuntimeError: no such door, in a worker process$"):
        game.step(np.array([2, 0], np.int32))


def test_a_game_whose_workers_live_is_closed_as_usual(game):
    assert not game.step(np.zeros(2, np.int32)).terminated.any()
