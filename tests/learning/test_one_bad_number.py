"""One bad number does not ruin a run: an entry with observations of 1e6, or with one reward of 1e9, amid real training.

A run learns its game, gets such an entry as the last one of a batch, and goes on. Greedy games right after it and some
updates later must be about as good as before. When bad numbers entered the moments of observations as they were,
CartPole fell from 500 to 22, and did not recover. When they were only clipped, Pendulum fell from -110 to -1140, and
took ten updates to recover.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from support.one_process import OneProcessRun

from broodmind.learner.algorithms.ppo.config import PPOConfig


@dataclass(frozen=True)
class Game:
    name: str
    config: PPOConfig  # as `auto` has it for the game's actions
    learnt: float  # the least mean return of greedy games when the bad number comes
    lost: float  # by how much it may be lower afterwards


CARTPOLE = Game("CartPole-v1", PPOConfig(), learnt=300, lost=60)
PENDULUM_CONFIG = PPOConfig(learning_rate=1e-3, entropy_coef=0.0, n_epochs=8, log_std_init=0.0)
PENDULUM = Game("Pendulum-v1", PENDULUM_CONFIG, learnt=-250, lost=100)
BEFORE, AFTER, EVERY = 20, 6, 3  # updates


def far_observations(played):
    return replace(played, observations=np.full_like(played.observations, 1e6))


def a_huge_reward(played):
    rewards = played.rewards.copy()
    rewards[len(rewards) // 2, 0] = 1e9
    return replace(played, rewards=rewards)


@pytest.mark.parametrize("bad", [far_observations, a_huge_reward])
@pytest.mark.parametrize("game", [CARTPOLE, PENDULUM], ids=lambda game: game.name)
def test_a_run_stays_where_it_was(game, bad):
    run = OneProcessRun(game.name, game.config)
    for _ in range(BEFORE):
        run.update()
    before = run.greedy()
    assert before >= game.learnt
    run.update(bad)
    after = [run.greedy()]
    for number in range(AFTER):
        run.update()
        if number % EVERY == EVERY - 1:
            after.append(run.greedy())
    assert min(after) >= before - game.lost
