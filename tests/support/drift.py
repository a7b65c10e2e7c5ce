"""A game of continuous actions that shape what is seen next. Games terminate or are truncated, and begin again."""

from __future__ import annotations

import numpy as np

from broodmind.actors.games.vector_game import Step
from broodmind.common.actions import Box
from broodmind.common.spec import GameSpec, RolloutSpec, RunSpec

DRIFT = GameSpec("drift", (3,), Box((-1.0, -1.0), (1.0, 1.0)))


def moved(position, actions):
    """Where actions [B, 2] lead from positions [B, 2]: most of the way back, and on by them."""
    return 0.7 * position + 0.5 * actions


def seen(position, age):
    """The observations [B, 3] at positions [B, 2] of games with so many steps [B]."""
    return np.concatenate([position, 0.1 * age[:, None]], axis=1).astype(np.float32)


class Drift:
    """B games, the lengths of which are drawn from 1 to `longest`."""

    def __init__(self, num_envs, longest=12):
        self.num_envs, self.spec, self._longest = num_envs, DRIFT, longest

    def reset(self, seed):
        """See VectorGame."""
        self._rng = np.random.default_rng(seed)
        self._position = self._rng.normal(size=(self.num_envs, 2))
        self._age = np.zeros(self.num_envs, np.int64)
        self._lengths = self._rng.integers(1, self._longest + 1, self.num_envs)
        self._over = np.zeros(self.num_envs, np.bool_)
        return self._step(np.zeros(self.num_envs))

    def step(self, actions):
        """See VectorGame."""
        reset = self._over
        self._position = np.where(
            reset[:, None], self._rng.normal(size=(self.num_envs, 2)), moved(self._position, actions)
        )
        self._age = np.where(reset, 0, self._age + 1)
        lengths = self._rng.integers(1, self._longest + 1, self.num_envs)
        self._lengths = np.where(reset, lengths, self._lengths)
        return self._step(np.where(reset, 0, -np.abs(self._position).sum(axis=1)))

    def close(self):
        """See VectorGame."""

    def _step(self, rewards):
        self._over = self._age >= self._lengths
        terminated = self._over & (self._lengths % 2 == 0)
        observations = seen(self._position, self._age)
        return Step(observations, rewards.astype(np.float32), terminated, self._over & ~terminated)


class NoisyPlayer:
    """A policy of a run with noise that lasts. It notes at which ages of games its noise lasts from the step before."""

    def __init__(self):
        self.spec = RunSpec(DRIFT, rollout=RolloutSpec("games", noise_correlation=0.9))
        self.ages, self.known = [], []

    def act(self, observations, _masks, rng, noise):
        """See Policy."""
        drawn = rng.standard_normal((len(observations), 2), dtype=np.float32)
        self.ages += np.rint(observations[:, 2] * 10).astype(int).tolist()
        self.known += noise.previous(drawn.shape)[1].tolist()
        noise.follow(drawn)
        return drawn, None

    def check(self):
        """The noise starts anew with each game, and only there."""
        assert self.ages.count(0) > 2
        assert self.known == [age > 0 for age in self.ages]
