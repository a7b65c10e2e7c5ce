"""An episode: one game as its own loop plays it. Nothing here waits, and nothing knows the network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ...common.errors import ConfigError
from ...common.process.clock import monotonic_s, now_ms
from ...common.process.log import Log
from ...common.wire.trajectory import REWARD_MAX
from ..inference.batched_inference import InferenceRequest, run_inference, to_move
from ..inference.exploration_noise import make_noise
from .episode_buffer import EpisodeBuffer, EpisodeEnd, longest
from .episode_record import ENDINGS, EpisodeRecord
from .validation import UnusableValue, number, validate_mask, validate_observation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.spec import GameSpec
    from ..inference.batched_inference import Action
    from ..inference.policy import Policy
    from .episode_record import Outcome

_log = Log("client")


@dataclass(frozen=True, slots=True)
class FinishedEpisode:
    """An episode that is over: its record, and what can be trained on."""

    attempt: EpisodeRecord
    recording: EpisodeBuffer | None = None
    ending: EpisodeEnd | None = None
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class FallbackAction:
    """A move that no policy was asked for."""

    move: Action


class ErrorPolicy:
    """How strict to be with the calling code: mistakes raise until one game with a policy has come to its end.

    A mistake in a bot's code shows in its first game. A bot that has played whole games must not fall in a later one.
    """

    def __init__(self) -> None:
        self.strict = True

    def raise_or_log(self, message: str) -> None:
        """Raise ConfigError, or log what would have been raised."""
        if self.strict:
            raise ConfigError(message)
        _log.warning("mistake in the calling code", error=message)


class Episode:
    """One game, played with one version of the policy. For one thread at a time."""

    def __init__(
        self,
        episode_id: str,
        labels: Mapping[str, object],
        policy: Policy | None,
        substitute: Callable[[Any, Any], Action],
        rng: np.random.Generator,
        manners: ErrorPolicy,
        over: Callable[[Episode, FinishedEpisode], None],
    ) -> None:
        self.id = episode_id
        self.attempt: EpisodeRecord | None = None  # once it is over
        self._labels, self._policy, self._substitute = labels, policy, substitute
        self._rng, self._manners, self._tell = rng, manners, over
        self._started_ms, self._started_s = now_ms(), monotonic_s()
        self._recording = EpisodeBuffer()
        self._noise = make_noise(policy.spec.rollout) if policy else None
        self._limit = longest(policy.spec) if policy else 0
        self._cut: NDArray[np.float32] | None = None  # the observation at which the recording was full
        self._spoilt = "" if policy else "played without a policy"
        self._steps, self._total_reward = 0, 0.0

    @property
    def over(self) -> bool:
        """Whether it was ended or aborted."""
        return self.attempt is not None

    @property
    def game(self) -> GameSpec | None:
        """What the policy that plays it takes and gives; None where there was none yet at its beginning."""
        return self._policy.spec.game if self._policy else None

    @property
    def version(self) -> int:
        """Of the policy that plays it; 0 where there was none yet at its beginning."""
        return self._policy.pointer.version if self._policy else 0

    def act(self, observation: ArrayLike, mask: ArrayLike | None = None) -> Action:
        """Choose the next action.

        Args:
            observation: numbers of the run's shape.
            mask: which actions are allowed; None: all.

        Returns:
            An int, or an array where an action is several choices or numbers (these within the game's bounds). Where
            there is no policy, or the observation is unusable, it comes from the fallback.

        Raises:
            ConfigError: for what the run's game does not have, until one game with a policy has come to its end.
        """
        question = self.ask(observation, mask)
        return run_inference([question])[0] if isinstance(question, InferenceRequest) else question.move

    def ask(self, observation: ArrayLike, mask: ArrayLike | None = None) -> InferenceRequest | FallbackAction:
        """As `act`, for whoever decides for several episodes at once: a question for `decide`, or the move already."""
        self._steps += 1
        policy = self._policy
        if policy is None:
            return self._improvise(observation, mask)
        game, fit = policy.spec.game, policy.spec.rollout.state_fit
        try:
            if self.over:
                raise ConfigError("act: called after the end of the game, expected a new episode")  # noqa: TRY301
            seen = validate_observation(observation, game.observation_shape, fit)
            allowed = validate_mask(mask, game)
        except ConfigError as error:
            self._misused(error)
            return self._improvise(observation, mask)
        except UnusableValue as error:
            self._spoil(str(error))
            return self._improvise(observation, mask)

        def answer(action: ActionArray, log_prob: np.floating) -> Action:
            if not math.isfinite(log_prob):
                self._spoil(f"observation: up to {abs(seen).max():g}, more than the policy can take")
                return self._substitute(observation, mask)
            if not self._spoilt:
                self._record(seen, action, log_prob, allowed)
            return to_move(action, game.actions)

        return InferenceRequest(policy, seen, allowed, self._rng, self._noise, answer)

    def reward(self, amount: float) -> None:
        """Add to what the last action earned; what comes before the first action is not counted."""
        try:
            value = number("reward", amount)
        except ConfigError as error:
            self._misused(error)
            return
        if not abs(value) <= REWARD_MAX:
            self._spoil(f"reward: {value:g}, expected at most {REWARD_MAX:g} either way")
        elif self._steps:
            self._total_reward += value
            if self._recording.rewards and self._cut is None:
                self._recording.rewards[-1] += value

    def end(self, outcome: Outcome, reward: float = 0.0, observation: ArrayLike | None = None) -> None:
        """Say how the game ended; only now may it be trained on.

        Args:
            outcome: win, loss, tie; or truncated, for a game that was cut off from outside and would have gone on.
            reward: added to what the last action earned.
            observation: the final one, from which a truncated game's future is estimated; by default the last seen.

        Raises:
            ConfigError: for another outcome or a second end, until one game with a policy has come to its end.
        """
        try:
            if self.over:
                raise ConfigError(f"end: {outcome!r} after the end of the game, expected one end")  # noqa: TRY301
            if outcome not in ENDINGS:
                raise ConfigError(f"outcome: {outcome!r}, expected one of {', '.join(ENDINGS)}")  # noqa: TRY301
            self.reward(reward)
            final = self._final(observation)
        except ConfigError as error:
            self._misused(error)
            self.abort(str(error))
            return
        except UnusableValue as error:
            self._spoil(str(error))
            final = None
        if self._policy is None:
            self._close(outcome, self._spoilt)
            return
        self._manners.strict = False
        if self._spoilt:
            self._close("aborted", self._spoilt)
        elif final is None:
            self._close(outcome, "without an action")
        else:
            cut = self._cut is not None
            ending = EpisodeEnd(final, not cut and outcome != "truncated", not cut and outcome == "win")
            self._close(outcome, "", ending)

    def abort(self, reason: str) -> None:
        """Leave the game as something that never was: recorded, and not trained on. After an end it does nothing."""
        if not self.over:
            self._close("aborted", reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.abort("left without an end" if error is None else repr(error))

    def _record(
        self,
        seen: NDArray[np.float32],
        action: ActionArray,
        log_prob: np.floating,
        allowed: NDArray[np.bool_] | None,
    ) -> None:
        if self._recording.steps < self._limit:
            self._recording.add(seen, action, log_prob, allowed)
        elif self._cut is None:
            self._cut = seen

    def _final(self, observation: ArrayLike | None) -> NDArray[np.float32] | None:
        if self._policy is None or not self._recording.steps:
            return None
        if self._cut is not None:
            return self._cut
        if observation is None:
            return self._recording.observations[-1]
        spec = self._policy.spec
        return validate_observation(observation, spec.game.observation_shape, spec.rollout.state_fit)

    def _improvise(self, observation: ArrayLike, mask: ArrayLike | None) -> FallbackAction:
        return FallbackAction(self._substitute(observation, mask))

    def _misused(self, error: ConfigError) -> None:
        self._manners.raise_or_log(str(error))
        self._spoil(str(error))

    def _spoil(self, reason: str) -> None:
        if not self._spoilt:
            self._spoilt = reason
            self._recording = EpisodeBuffer()
            _log.warning("episode spoilt, playing on", episode=self.id, reason=reason)

    def _close(self, outcome: Outcome, reason: str, ending: EpisodeEnd | None = None) -> None:
        pointer = self._policy.pointer if self._policy else None
        self.attempt = EpisodeRecord(
            id=self.id,
            labels=self._labels,
            epoch=pointer.epoch if pointer else 0,
            version=pointer.version if pointer else 0,
            outcome=outcome,
            reason=reason,
            started_ms=self._started_ms,
            duration_s=monotonic_s() - self._started_s,
            steps=self._steps,
            total_reward=self._total_reward,
            trained_on=ending is not None,
        )
        kept = () if ending is None else (self._recording, ending, self._policy)
        self._tell(self, FinishedEpisode(self.attempt, *kept))
