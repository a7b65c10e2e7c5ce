"""Rollouts: play all copies of a game with one policy, and cut the play into fragments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..common.wire.trajectory import Trajectory
from .inference.exploration_noise import make_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..common.policy.distributions import ActionArray
    from ..common.spec import GameSpec, RunSpec
    from ..common.wire.weights import Pointer
    from .games.vector_game import Step, VectorGame
    from .inference.exploration_noise import CorrelatedNoise
    from .inference.policy import Policy


@dataclass(frozen=True, slots=True)
class Fragment:
    """A trajectory, and the oldest version that was used in it; None if it was not played with a version of the run."""

    trajectory: Trajectory
    played_with: Pointer | None


class Rollout(Protocol):
    """Plays games without end; between two calls it holds the games in progress."""

    def play(self, policy: Policy) -> list[Fragment]:
        """Play a fragment, or, for a rollout of whole games, one step; returns the fragments that were completed."""


def make_rollout(game: VectorGame, spec: RunSpec, seed: int, rng: np.random.Generator) -> Rollout:
    """The kind of rollout that the run's spec requires. `seed` starts the games, `rng` draws the actions."""
    kind = StepRollout if spec.rollout.unroll == "steps" else GameRollout
    return kind(game, spec.rollout.fragment_length, seed, rng, make_noise(spec.rollout))


def empty_actions(spec: GameSpec, shape: tuple[int, int]) -> ActionArray:
    """An uninitialised array for actions [T, B, *action shape]."""
    return np.empty((*shape, *spec.actions.shape), spec.actions.dtype)


def empty_masks(spec: GameSpec, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """An uninitialised array for masks [T, B, A], if the game has any."""
    return np.empty((*shape, sum(spec.actions.sizes)), np.bool_) if spec.masked else None


class _Games:
    """The games in progress: their current observations, and their returns and lengths so far."""

    def __init__(self, game: VectorGame, seed: int) -> None:
        self._game = game
        start = game.reset(seed)
        self.observations, self.masks = start.observations, start.masks
        self.starting = np.zeros(game.num_envs, np.bool_)  # columns whose next step only resets
        self._returns = np.zeros(game.num_envs, np.float64)
        self._lengths = np.zeros(game.num_envs, np.int32)

    def step(self, actions: ActionArray) -> tuple[Step, NDArray[np.bool_], NDArray[np.bool_]]:
        """Advance all games.

        Returns:
            The step; the columns whose game it advanced and did not only reset, [B]; the columns whose game it ended,
            [B].
        """
        step = self._game.step(actions)
        played = ~self.starting
        self._returns += step.rewards
        self._lengths += played
        ended = step.terminated | step.truncated
        self.observations, self.masks, self.starting = step.observations, step.masks, ended
        return step, played, ended

    def take_totals(self, ended: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Returns and lengths of the games that ended, [G] each; their columns start again from zero."""
        returns, lengths = self._returns[ended].astype(np.float32), self._lengths[ended]
        self._returns[ended] = 0
        self._lengths[ended] = 0
        return returns, lengths


class StepRollout:
    """Fragments of `length` steps of all columns; games end and begin within them."""

    def __init__(
        self, game: VectorGame, length: int, seed: int, rng: np.random.Generator, noise: CorrelatedNoise | None = None
    ) -> None:
        self._spec, self._length, self._rng, self._noise = game.spec, length, rng, noise
        self._games = _Games(game, seed)
        self._columns = game.num_envs

    def play(self, policy: Policy) -> list[Fragment]:
        """Play one fragment."""
        length, columns, games = self._length, self._columns, self._games
        shape = (length, columns)
        observations = np.empty((length + 1, columns, *self._spec.observation_shape), np.float32)
        actions, log_probs = empty_actions(self._spec, shape), np.empty(shape, np.float32)
        rewards, valid = np.empty(shape, np.float32), np.empty(shape, np.bool_)
        terminated, truncated = np.empty(shape, np.bool_), np.empty(shape, np.bool_)
        masks = empty_masks(self._spec, shape)
        returns: list[NDArray[np.float32]] = []
        lengths: list[NDArray[np.int32]] = []
        wins: list[NDArray[np.bool_]] = []
        for t in range(length):
            observations[t] = games.observations
            if masks is not None:
                masks[t] = games.masks
            actions[t], log_probs[t] = policy.act(games.observations, games.masks, self._rng, self._noise)
            step, valid[t], ended = games.step(actions[t])
            rewards[t], terminated[t], truncated[t] = step.rewards, step.terminated, step.truncated
            if ended.any():
                ended_returns, ended_lengths = games.take_totals(ended)
                returns.append(ended_returns)
                lengths.append(ended_lengths)
                wins.append(np.zeros(len(ended_returns), np.bool_) if step.wins is None else step.wins[ended])
        observations[length] = games.observations
        trajectory = Trajectory(
            observations=observations,
            actions=actions,
            log_probs=log_probs,
            rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            valid=valid,
            returns=np.concatenate([np.zeros(0, np.float32), *returns]),
            lengths=np.concatenate([np.zeros(0, np.int32), *lengths]),
            masks=masks,
            wins=np.concatenate([np.zeros(0, np.bool_), *wins]) if self._spec.wins else None,
        )
        return [Fragment(trajectory, policy.pointer)]


class GameRollout:
    """Makes one fragment for each game, when the game ends.

    A game longer than `length` steps is truncated there. The rest of it is played and not recorded.
    """

    def __init__(
        self, game: VectorGame, length: int, seed: int, rng: np.random.Generator, noise: CorrelatedNoise | None = None
    ) -> None:
        self._spec, self._length, self._rng, self._noise = game.spec, length, rng, noise
        self._games = _Games(game, seed)
        columns = game.num_envs
        self._columns = np.arange(columns)
        self._at = np.zeros(columns, np.int64)  # steps of each column's game recorded so far
        self._unrecorded = np.zeros(columns, np.bool_)  # whose game is truncated here and continues
        self._played_with: list[Pointer | None] = [None] * columns
        self._observations = np.empty((length + 1, columns, *game.spec.observation_shape), np.float32)
        self._actions = empty_actions(self._spec, (length, columns))
        self._log_probs = np.empty((length, columns), np.float32)
        self._rewards = np.empty((length, columns), np.float32)
        self._masks = empty_masks(self._spec, (length, columns))

    def play(self, policy: Policy) -> list[Fragment]:
        """Play one step of all columns; returns a fragment for each game that it ended."""
        games, at, columns = self._games, self._at, self._columns
        recorded = ~games.starting & ~self._unrecorded
        for column in np.flatnonzero(recorded & (at == 0)):
            self._played_with[column] = policy.pointer
        rows = (at[recorded], columns[recorded])
        self._observations[rows] = games.observations[recorded]
        if self._masks is not None and games.masks is not None:
            self._masks[rows] = games.masks[recorded]
        actions, log_probs = policy.act(games.observations, games.masks, self._rng, self._noise)
        step, _, ended = games.step(actions)
        self._actions[rows] = actions[recorded]
        self._log_probs[rows] = log_probs[recorded]
        self._rewards[rows] = step.rewards[recorded]
        at[recorded] += 1
        finished = recorded & (ended | (at == self._length))
        returns, lengths = games.take_totals(finished)
        fragments = [
            self._fragment(int(column), step, returns[i : i + 1], lengths[i : i + 1])
            for i, column in enumerate(np.flatnonzero(finished))
        ]
        games.take_totals(ended & ~finished)  # discard what was not recorded
        at[finished] = 0
        self._unrecorded = (self._unrecorded | finished) & ~ended
        return fragments

    def _fragment(self, column: int, step: Step, returns: NDArray[np.float32], lengths: NDArray[np.int32]) -> Fragment:
        length = int(self._at[column])
        here = (slice(0, length), slice(column, column + 1))
        terminated, truncated = np.zeros((2, length, 1), np.bool_)
        terminated[-1] = step.terminated[column]
        truncated[-1] = not step.terminated[column]
        wins = None
        if self._spec.wins:
            over = step.terminated[column] | step.truncated[column]  # False if only the recording is truncated
            wins = np.array([step.wins is not None and over and step.wins[column]])
        last = step.observations[column][None, None]
        trajectory = Trajectory(
            observations=np.concatenate([self._observations[here], last]),
            actions=self._actions[here].copy(),
            log_probs=self._log_probs[here].copy(),
            rewards=self._rewards[here].copy(),
            terminated=terminated,
            truncated=truncated,
            valid=np.ones((length, 1), np.bool_),
            returns=returns,
            lengths=lengths,
            masks=None if self._masks is None else self._masks[here].copy(),
            wins=wins,
        )
        played_with = self._played_with[column]
        assert played_with is not None
        return Fragment(trajectory, played_with)
