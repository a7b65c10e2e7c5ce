"""Wrappers with statistics of their own are found wherever they are, and told with what to use instead."""

from __future__ import annotations

import gymnasium
import pytest
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import FlattenObservation, NormalizeObservation, NormalizeReward, TimeLimit
from gymnasium.wrappers import vector as of_vectors

from broodmind.actors.games.adapter.stateful_wrappers import stateful_wrappers
from broodmind.actors.games.gymnasium_adapter import from_factory


def plain():
    return FlattenObservation(gymnasium.make("Pendulum-v1"))


def normalized():
    return TimeLimit(NormalizeReward(FlattenObservation(NormalizeObservation(plain()))), 5)


@pytest.mark.parametrize(
    ("env", "names"),
    [
        (lambda: SyncVectorEnv([plain]), []),
        (lambda: SyncVectorEnv([normalized]), ["NormalizeObservation", "NormalizeReward"]),
        (lambda: of_vectors.NormalizeObservation(SyncVectorEnv([plain])), ["NormalizeObservation"]),
        (lambda: of_vectors.NormalizeReward(SyncVectorEnv([plain])), ["NormalizeReward"]),
    ],
)
def test_they_are_found(env, names):
    assert [warning.split(":")[0].split()[-1] for warning in stateful_wrappers(env())] == names


def test_the_warning_says_what_to_use_instead():
    observation, reward = from_factory("mine:normalized", normalized, 2).notes
    assert "use --normalize-observations" in observation
    assert "use rewards as they are, whose scale the learner measures itself" in reward
