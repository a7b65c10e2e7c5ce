"""An episode: one game, played by a loop of the caller's. Nothing here waits or uses the network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ...common.arguments import choice
from ...common.errors import ConfigError
from ...common.labels import to_labels
from ...common.own_metrics import NAMES_MAX, check_name, check_value
from ...common.process.clock import monotonic_s, now_ms
from ...common.process.log import Log
from ...common.wire.trajectory import REWARD_MAX
from ..inference.batched_inference import InferenceRequest, run_inference, to_game_action
from ..inference.exploration_noise import make_noise
from .episode_buffer import EpisodeBuffer, EpisodeEnd, EvaluationGame, RecordedGame, max_steps
from .episode_record import END_OUTCOMES, EpisodeRecord
from .overflow import REASON
from .validation import UnusableValue, number, validate_mask, validate_observation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.spec import GameSpec
    from ...common.wire.weights import Pointer
    from ..inference.batched_inference import Action
    from ..inference.policy import Policy
    from .episode_record import Outcome

_log = Log("client")

PLAYS_ONLY = "the agent only plays"
EVALUATION = "an evaluation of its version"  # why such a game is not trained on


@dataclass(frozen=True, slots=True)
class FinishedEpisode:
    """An episode that is over: its record, and its data if it can be trained on."""

    record: EpisodeRecord
    game: RecordedGame | None = None
    evaluation: EvaluationGame | None = None  # its result, if it evaluates a version
    given_up: bool = False  # before its first step; or the agent only plays


@dataclass(frozen=True, slots=True)
class FallbackAction:
    """An action that does not come from the run's policy."""

    action: Action


class ErrorPolicy:
    """Decides whether a mistake in the calling code raises an error or is only logged.

    It raises an error until one game with a policy has ended, because a mistake in a bot's code shows in its first
    game, and in that one also after its end. A bot that has played a whole game must not crash in a later one.
    """

    def __init__(self) -> None:
        self._first: object = None  # the first game with a policy that has ended

    def game_ended(self, game: object) -> None:
        """A game with a policy has ended as it should."""
        self._first = self._first or game

    def is_strict(self, game: object = None) -> bool:
        """Whether a mistake raises an error that was made in this game, or in none."""
        return self._first is None or self._first is game

    def raise_or_log(self, message: str, game: object = None) -> None:
        """Raise ConfigError with this message, or log the message."""
        if self.is_strict(game):
            raise ConfigError(message)
        _log.warning("mistake in the calling code", error=message)


class Episode:
    """One game, played with one version of the policy, or with the newest at each step. For one thread at a time."""

    def __init__(
        self,
        episode_id: str,
        labels: Mapping[str, object],
        policy: Policy | None,
        fallback: Callable[[Any, Any], Action],
        rng: np.random.Generator,
        error_policy: ErrorPolicy,
        on_end: Callable[[Episode, FinishedEpisode], None],
        *,
        given_up: bool = False,
        evaluates: bool = False,
        greedy: bool = False,
        plays_only: bool = False,
        newest: Callable[[], Policy | None] | None = None,
    ) -> None:
        self.id = episode_id
        self.record: EpisodeRecord | None = None  # once it is over
        self.began_ms, self._started_s = now_ms(), monotonic_s()
        self._labels, self._policy, self._fallback = labels, policy, fallback
        self._rng, self._error_policy, self._on_end = rng, error_policy, on_end
        self._buffer = EpisodeBuffer()
        self._noise = make_noise(policy.spec.rollout) if policy else None
        self._max_steps = max_steps(policy.spec) if policy else 0
        self._cut: NDArray[np.float32] | None = None  # the observation at which the buffer was full
        self._newest = newest  # the version to go on with; None: one version plays the whole game
        self._given_up = given_up  # it is played with the policy, and not recorded
        self._evaluates = evaluates and policy is not None  # its result alone is recorded
        self._greedy = greedy or self._evaluates
        self._plays_only = plays_only  # nothing of it is sent
        self._unusable = "" if policy else "played without a policy"  # why its data cannot be trained on
        self._steps, self._total_reward = 0, 0.0
        self._metrics: dict[str, list[float]] = {}  # the game's own: the sum and the number of the values

    @property
    def over(self) -> bool:
        """Whether it was ended or aborted."""
        return self.record is not None

    @property
    def recorded(self) -> bool:
        """Whether its data is kept to be trained on."""
        return not (self._unusable or self._given_up or self._plays_only)

    @property
    def evaluation(self) -> bool:
        """Whether it evaluates the version that plays it: greedily, and without being trained on."""
        return self._evaluates

    @property
    def game(self) -> GameSpec | None:
        """The game of the policy that plays it; None if there was no policy yet when it began."""
        return self._policy.spec.game if self._policy else None

    @property
    def version(self) -> int:
        """The version of the policy that chose the last action; 0 if there was no policy yet when it began."""
        return self._policy.pointer.version if self._policy else 0

    def act(self, observation: ArrayLike, mask: ArrayLike | None = None) -> Action:
        """Choose the next action.

        Args:
            observation: numbers of the run's shape.
            mask: which actions are allowed; None: all.

        Returns:
            An int, or an array if an action is several choices or numbers (these within the game's bounds). If there
            is no policy, or the observation is unusable, it comes from the fallback.

        Raises:
            ConfigError: for arguments that do not fit the run's game, until one game with a policy has ended.
        """
        request = self.ask(observation, mask)
        return run_inference([request])[0] if isinstance(request, InferenceRequest) else request.action

    def ask(self, observation: ArrayLike, mask: ArrayLike | None = None) -> InferenceRequest | FallbackAction:
        """Like `act`, for a caller that runs inference for several episodes at once.

        Returns:
            A request for `run_inference`; or the action, if the policy is not asked.
        """
        if self.over:
            self._report(ConfigError("act: called after the end of the game, expected a new episode"))
            return self._fall_back(observation, mask)
        self._steps += 1
        policy = self._policy
        if policy is None:
            return self._fall_back(observation, mask)
        if self._newest is not None:
            policy = self._policy = self._take_up(policy, self._newest())
        game, fit = policy.spec.game, policy.spec.rollout.observation_fit
        try:
            valid_observation = validate_observation(observation, game.observation_shape, fit, game.observation_dtype)
            valid_mask = validate_mask(mask, game)
        except ConfigError as error:
            self._report(error)
            return self._fall_back(observation, mask)
        except UnusableValue as error:
            self._make_unusable(str(error))
            return self._fall_back(observation, mask)

        def on_action(action: ActionArray, log_prob: np.floating) -> Action:
            if not math.isfinite(log_prob):
                largest = abs(valid_observation).max()
                self._make_unusable(f"observation: up to {largest:g}, more than the policy can take")
                return self._fallback(observation, mask)
            if self.recorded and not self._evaluates:
                self._add_step(valid_observation, action, log_prob, valid_mask, policy.pointer)
            return to_game_action(action, game.actions)

        return InferenceRequest(
            policy, valid_observation, valid_mask, self._rng, self._noise, on_action, greedy=self._greedy
        )

    def reward(self, amount: float) -> None:
        """Add to the reward of the last action. A reward before the first action is not counted."""
        try:
            value = number("reward", amount)
        except ConfigError as error:
            self._report(error)
            return
        if not abs(value) <= REWARD_MAX:
            self._make_unusable(f"reward: {value:g}, expected at most {REWARD_MAX:g} either way")
        elif self._steps:
            self._total_reward += value
            if self._buffer.rewards and self._cut is None:
                self._buffer.rewards[-1] += value

    def log(self, name: str, value: float) -> None:
        """Note a number of the game's own, such as its supply, to be shown beside the returns.

        A game counts with the mean of what was logged in it, and the run shows the mean over its last hundred games.
        Games that are aborted, or are not recorded, do not count. A game has up to 32 names.

        Args:
            name: up to 64 letters, digits, dots, dashes, slashes and underscores.
            value: a finite number.

        Raises:
            ConfigError: for another name or value, until one game with a policy has ended. The game is trained on
                nevertheless.
        """
        try:
            if self.over:
                raise ConfigError(f"metric {name}: logged after the end of the game, expected before")  # noqa: TRY301
            amount = check_value(check_name(name), number(f"metric {name}", value))
            if name not in self._metrics and len(self._metrics) == NAMES_MAX:
                raise ConfigError(f"metric {name}: one more name, expected at most {NAMES_MAX} in a game")  # noqa: TRY301
        except ConfigError as error:
            self._error_policy.raise_or_log(str(error), self)
            return
        total = self._metrics.setdefault(name, [0.0, 0])
        total[0] += amount
        total[1] += 1

    def end(self, outcome: Outcome, reward: float = 0.0, observation: ArrayLike | None = None) -> None:
        """End the game with an outcome. Only a game that was ended so can be trained on.

        Args:
            outcome: win, loss, tie; or truncated, for a game that was cut off from outside and would have gone on.
            reward: added to the reward of the last action.
            observation: the final observation, from which the value of a truncated game is bootstrapped; by default
                the last one that `act` was given.

        Raises:
            ConfigError: for another outcome or a second end, until one game with a policy has ended.
        """
        try:
            if self.over:
                raise ConfigError(f"end: {outcome!r} after the end of the game, expected one end")  # noqa: TRY301
            choice("outcome", outcome, END_OUTCOMES)
            self.reward(reward)
            final = self._final(observation)
        except ConfigError as error:
            self._report(error)
            self.abort(str(error))
            return
        except UnusableValue as error:
            self._make_unusable(str(error))
            final = None
        if self._policy is None:
            self._close(outcome, self._unusable)
            return
        self._error_policy.game_ended(self)
        self._finish(outcome, final)

    def abort(self, reason: str) -> None:
        """End the game without training on it; it is recorded as aborted. After an end this does nothing."""
        if not self.over:
            self._close("aborted", str(reason))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.abort("left without an end" if error is None else repr(error))

    def _finish(self, outcome: Outcome, final: NDArray[np.float32] | None) -> None:
        """Close a game that a policy played and that was ended; `final` is None if no step of it is kept."""
        if self._unusable:
            self._close("aborted", self._unusable)
        elif self._given_up or self._plays_only:
            self._close(outcome, REASON if self._given_up else PLAYS_ONLY)
        elif self._evaluates and self._steps:
            self._close(outcome, EVALUATION, evaluated=True)
        elif final is None:
            self._close(outcome, "without an action")
        else:
            cut = self._cut is not None
            end = EpisodeEnd(final, not cut and outcome != "truncated", not cut and outcome == "win")
            self._close(outcome, "", end)

    def _add_step(
        self,
        observation: NDArray[np.float32],
        action: ActionArray,
        log_prob: np.floating,
        mask: NDArray[np.bool_] | None,
        pointer: Pointer,
    ) -> None:
        if self._buffer.steps < self._max_steps:
            self._buffer.add(observation, action, log_prob, mask, pointer)
        elif self._cut is None:
            self._cut = observation

    def _final(self, observation: ArrayLike | None) -> NDArray[np.float32] | None:
        if self._policy is None or not self._buffer.steps:
            return None
        if self._cut is not None:
            return self._cut
        if observation is None:
            return self._buffer.observations[-1]
        spec = self._policy.spec
        game, fit = spec.game, spec.rollout.observation_fit
        return validate_observation(observation, game.observation_shape, fit, game.observation_dtype)

    @staticmethod
    def _take_up(current: Policy, newest: Policy | None) -> Policy:
        """The newest version, if it is of the same run, and of a lineage in which the steps so far count."""
        if newest is current or newest is None:
            return current
        if newest.pointer.epoch != current.pointer.epoch or newest.spec != current.spec:
            return current
        return newest

    def _fall_back(self, observation: ArrayLike, mask: ArrayLike | None) -> FallbackAction:
        return FallbackAction(self._fallback(observation, mask))

    def _report(self, error: ConfigError) -> None:
        """Raise or log a mistake in the calling code, and exclude the data of an episode that goes on from training."""
        self._error_policy.raise_or_log(str(error), self)
        if not self.over:
            self._make_unusable(str(error))

    def _make_unusable(self, reason: str) -> None:
        if not self._unusable:
            self._unusable = reason
            self._buffer = EpisodeBuffer()
            _log.warning("episode cannot be trained on, playing on", episode=self.id, reason=reason)

    def _close(self, outcome: Outcome, reason: str, end: EpisodeEnd | None = None, *, evaluated: bool = False) -> None:
        pointer = self._policy.pointer if self._policy else None
        self.record = EpisodeRecord(
            id=self.id,
            labels=self._labels,
            epoch=pointer.epoch if pointer else 0,
            version=pointer.version if pointer else 0,
            outcome=outcome,
            reason=reason,
            started_ms=self.began_ms,
            duration_s=monotonic_s() - self._started_s,
            steps=self._steps,
            total_reward=self._total_reward,
            trained_on=end is not None,
            evaluation=self._evaluates,
        )
        game, evaluation = None, None
        if self._policy is not None:
            spec, labels = self._policy.spec, to_labels(self._labels)
            if end is not None:
                metrics = tuple((name, total / count) for name, (total, count) in sorted(self._metrics.items()))
                game = RecordedGame(self.id, self._buffer, end, self.began_ms, spec, metrics, labels)
            elif evaluated:
                evaluation = EvaluationGame(
                    *(self.id, self._policy.pointer, self._total_reward, self._steps, outcome == "win"),
                    *(self.began_ms, spec, labels),
                )
        self._on_end(self, FinishedEpisode(self.record, game, evaluation, self._given_up or self._plays_only))
