"""Rollouts: play all copies of a game with one policy, and cut the play into fragments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..common.process.clock import now_ms
from ..common.wire.entry_header import Episodes
from ..common.wire.trajectory import Trajectory
from .inference.exploration_noise import make_noise
from .info_metrics import NO_METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..common.policy.distributions import ActionArray
    from ..common.spec import GameSpec, RunSpec
    from ..common.wire.weights import Pointer
    from .games.vector_game import Step, VectorGame
    from .inference.exploration_noise import CorrelatedNoise
    from .inference.policy import Policy
    from .info_metrics import InfoMetrics


@dataclass(frozen=True, slots=True)
class Fragment:
    """A trajectory, and the versions that played it."""

    trajectory: Trajectory
    # The lowest and the highest version, of one epoch; None if no version of the run played it.
    played_with: tuple[Pointer, Pointer] | None
    open_since_ms: int | None = None  # when the earliest begun of the games still in play began


class Rollout(Protocol):
    """Plays games without end; between two calls it holds the games in progress."""

    def play(self, policy: Policy) -> list[Fragment]:
        """Play a fragment, or, for a rollout of whole games, one step; returns the fragments that were completed."""


def make_rollout(
    game: VectorGame, spec: RunSpec, seed: int, rng: np.random.Generator, metrics: InfoMetrics = NO_METRICS
) -> Rollout:
    """The kind of rollout that the run's spec requires.

    Args:
        game: is played.
        spec: of the run.
        seed: starts the games.
        rng: draws the actions.
        metrics: numbers in the infos of games that ended, to be sent with their returns.
    """
    kind = StepRollout if spec.rollout.unroll == "steps" else GameRollout
    games = GamesInProgress(game, seed, rng, make_noise(spec.rollout), metrics)
    return kind(games, spec.rollout.fragment_length)


def empty_actions(spec: GameSpec, shape: tuple[int, int]) -> ActionArray:
    """An uninitialised array for actions [T, B, *action shape]."""
    return np.empty((*shape, *spec.actions.shape), spec.actions.dtype)


def empty_observations(spec: GameSpec, shape: tuple[int, int]) -> NDArray[np.float32] | NDArray[np.uint8]:
    """An uninitialised array for observations [T + 1, B, *observation shape]."""
    return np.empty((*shape, *spec.observation_shape), spec.observation_dtype)


def empty_masks(spec: GameSpec, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """An uninitialised array for masks [T, B, A], if the game has any."""
    return np.empty((*shape, sum(spec.actions.sizes)), np.bool_) if spec.masked else None


class GamesInProgress:
    """The games in progress: their current observations, and their returns and lengths so far."""

    def __init__(
        self,
        game: VectorGame,
        seed: int,
        rng: np.random.Generator,
        noise: CorrelatedNoise | None = None,
        metrics: InfoMetrics = NO_METRICS,
    ) -> None:
        """Begin all games.

        Args:
            game: is played.
            seed: starts the games.
            rng: draws the actions.
            noise: of continuous actions, if it lasts over steps; None: it is independent in each step.
            metrics: numbers in the infos of games that ended.
        """
        self._game, self._rng, self._noise, self._metrics = game, rng, noise, metrics
        self.spec, self.columns = game.spec, game.num_envs
        start = game.reset(seed)
        self.observations, self.masks = start.observations, start.masks
        self.starting = np.zeros(game.num_envs, np.bool_)  # columns whose next step only resets
        self._returns = np.zeros(game.num_envs, np.float64)
        self._lengths = np.zeros(game.num_envs, np.int32)
        self._began_ms = np.full(game.num_envs, now_ms(), np.int64)
        self._wins = game.spec.wins

    def act(self, policy: Policy) -> tuple[ActionArray, NDArray[np.float32]]:
        """Draw the actions of all games, [B, *action shape], and their log-probabilities, [B]."""
        return policy.act(self.observations, self.masks, self._rng, self._noise)

    def step(self, actions: ActionArray) -> tuple[Step, NDArray[np.bool_], NDArray[np.bool_]]:
        """Advance all games.

        Returns:
            The step; the columns whose game it advanced and did not only reset, [B]; the columns whose game it ended,
            [B].
        """
        step = self._game.step(actions)
        played = ~self.starting
        if self._noise is not None:
            self._noise.restart(self.starting)  # after the step that only resets a game
        self._returns += step.rewards
        self._lengths += played
        ended = step.terminated | step.truncated
        self.observations, self.masks, self.starting = step.observations, step.masks, ended
        return step, played, ended

    @property
    def open_since_ms(self) -> int:
        """When the earliest begun of the games in play began."""
        return int(self._began_ms.min())

    def take_episodes(self, ended: NDArray[np.bool_], step: Step | None) -> Episodes:
        """The games that ended, in columns [B]; these columns start again from zero.

        `step` is the one that ended them; None: they were only cut off, so that it does not say how they went.
        """
        won, wins = None, None if step is None else step.wins
        if self._wins:
            won = (False,) * int(np.count_nonzero(ended)) if wins is None else tuple(wins[ended].tolist())
        episodes = Episodes(
            tuple(self._returns[ended].tolist()),
            tuple(self._lengths[ended].tolist()),
            tuple(self._began_ms[ended].tolist()),
            won,
            self._metrics.of_games(step.infos, ended) if self._metrics.names and step is not None else (),
        )
        self._returns[ended] = 0
        self._lengths[ended] = 0
        self._began_ms[ended] = now_ms()
        return episodes


class StepRollout:
    """Fragments of `length` steps of all columns; games end and begin within them."""

    def __init__(self, games: GamesInProgress, length: int) -> None:
        self._games, self._length = games, length

    def play(self, policy: Policy) -> list[Fragment]:
        """Play one fragment."""
        length, games = self._length, self._games
        spec, columns = games.spec, games.columns
        shape = (length, columns)
        observations = empty_observations(spec, (length + 1, columns))
        actions, log_probs = empty_actions(spec, shape), np.empty(shape, np.float32)
        rewards, valid = np.empty(shape, np.float32), np.empty(shape, np.bool_)
        terminated, truncated = np.empty(shape, np.bool_), np.empty(shape, np.bool_)
        masks = empty_masks(spec, shape)
        episodes = Episodes(wins=() if spec.wins else None)
        for t in range(length):
            observations[t] = games.observations
            if masks is not None:
                masks[t] = games.masks
            actions[t], log_probs[t] = games.act(policy)
            step, valid[t], ended = games.step(actions[t])
            rewards[t], terminated[t], truncated[t] = step.rewards, step.terminated, step.truncated
            if ended.any():
                episodes += games.take_episodes(ended, step)
        observations[length] = games.observations
        trajectory = Trajectory(
            observations=observations,
            actions=actions,
            log_probs=log_probs,
            rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            valid=valid,
            masks=masks,
            episodes=episodes,
        )
        return [Fragment(trajectory, (policy.pointer, policy.pointer), games.open_since_ms)]


class GameRollout:
    """Makes one fragment for each game, when the game ends.

    A game longer than `length` steps is truncated there. The rest of it is played and not recorded.
    """

    def __init__(self, games: GamesInProgress, length: int) -> None:
        self._games, self._length = games, length
        spec, columns = games.spec, games.columns
        self._columns = np.arange(columns)
        self._at = np.zeros(columns, np.int64)  # steps of each column's game recorded so far
        self._unrecorded = np.zeros(columns, np.bool_)  # truncated, and not yet over
        self._played_with: list[list[Pointer]] = [[] for _ in range(columns)]  # the versions, one after the other
        self._pointer: Pointer | None = None  # of the version that played the last step
        self._versions = np.zeros((length, columns), np.int64)  # of each step
        self._observations = empty_observations(spec, (length + 1, columns))
        self._actions = empty_actions(spec, (length, columns))
        self._log_probs = np.empty((length, columns), np.float32)
        self._rewards = np.empty((length, columns), np.float32)
        self._masks = empty_masks(spec, (length, columns))

    def play(self, policy: Policy) -> list[Fragment]:
        """Play one step of all columns; returns a fragment for each game that it ended."""
        games, at, columns = self._games, self._at, self._columns
        recorded = ~games.starting & ~self._unrecorded
        self._note_version(policy.pointer, recorded)
        rows = (at[recorded], columns[recorded])
        self._observations[rows] = games.observations[recorded]
        if self._masks is not None and games.masks is not None:
            self._masks[rows] = games.masks[recorded]
        actions, log_probs = games.act(policy)
        step, _, ended = games.step(actions)
        self._actions[rows] = actions[recorded]
        self._log_probs[rows] = log_probs[recorded]
        self._versions[rows] = policy.pointer.version
        self._rewards[rows] = step.rewards[recorded]
        at[recorded] += 1
        finished = recorded & (ended | (at == self._length))
        fragments = [self._fragment(int(column), step) for column in np.flatnonzero(finished)]
        if (unseen := ended & ~finished).any():
            games.take_episodes(unseen, None)  # what was not recorded is not counted in the next game
        at[finished] = 0
        self._unrecorded = (self._unrecorded | finished) & ~ended
        return fragments

    def _note_version(self, pointer: Pointer, recorded: NDArray[np.bool_]) -> None:
        """Add the version to the games whose next step it plays, in columns [B], unless it played the step before."""
        beginning = recorded & (self._at == 0)
        for column in np.flatnonzero(beginning):
            self._played_with[column] = [pointer]
        if pointer is not self._pointer:
            self._pointer = pointer
            for column in np.flatnonzero(recorded & ~beginning):
                if self._played_with[column][-1] != pointer:
                    self._played_with[column].append(pointer)

    def _fragment(self, column: int, step: Step) -> Fragment:
        length = int(self._at[column])
        here = (slice(0, length), slice(column, column + 1))
        terminated, truncated = np.zeros((2, length, 1), np.bool_)
        terminated[-1] = step.terminated[column]
        truncated[-1] = not step.terminated[column]
        only = np.zeros(len(self._at), np.bool_)
        only[column] = True
        over = step.terminated[column] | step.truncated[column]  # and not only truncated here
        low, high = version_range(self._played_with[column])
        offsets = None
        if low.version != high.version:
            # A version of another epoch counts as the nearest of these: the learner rejects the game for its epoch.
            offsets = np.clip(self._versions[here] - low.version, 0, high.version - low.version).astype(np.int32)
        last = step.observations[column][None, None]
        trajectory = Trajectory(
            observations=np.concatenate([self._observations[here], last]),
            actions=self._actions[here].copy(),
            log_probs=self._log_probs[here].copy(),
            rewards=self._rewards[here].copy(),
            terminated=terminated,
            truncated=truncated,
            valid=np.ones((length, 1), np.bool_),
            masks=None if self._masks is None else self._masks[here].copy(),
            version_offsets=offsets,
            episodes=self._games.take_episodes(only, step if over else None),
        )
        return Fragment(trajectory, (low, high), self._games.open_since_ms)


def version_range(played_with: Sequence[Pointer]) -> tuple[Pointer, Pointer]:
    """The lowest and the highest of the versions that are of the first one's epoch."""
    same_epoch = [pointer for pointer in played_with if pointer.epoch == played_with[0].epoch]
    versions = sorted(same_epoch, key=lambda pointer: pointer.version)
    return versions[0], versions[-1]
