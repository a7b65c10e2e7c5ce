"""An episode: one game as its own loop plays it. Nothing here waits, and nothing knows the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..common.actions import Box, Discrete
from ..common.clock import monotonic_s, now_ms
from ..common.errors import BroodmindError, ConfigError
from ..common.log import Log
from ..common.trajectory import REWARD_MAX
from .attempt import ENDINGS, Attempt
from .noise import make_noise
from .recording import Ending, Recording, longest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from numpy.typing import ArrayLike, NDArray

    from ..common.actions import Actions
    from ..common.distributions import ActionArray
    from ..common.spec import GameSpec
    from .attempt import Outcome
    from .policy import Policy

_log = Log("client")

Move = Any  # an int, or an array where an action is several choices or numbers


class _Unusable(BroodmindError):
    """A number from the game that nothing can be learnt from; it spoils the episode, and never the game."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An episode that is over: its record, and what can be trained on."""

    attempt: Attempt
    recording: Recording | None = None
    ending: Ending | None = None
    policy: Policy | None = None


class Manners:
    """How strict to be with the calling code: mistakes raise until one game with a policy has come to its end.

    A mistake in a bot's code shows in its first game. A bot that has played whole games must not fall in a later one.
    """

    def __init__(self) -> None:
        self.strict = True

    def mistake(self, message: str) -> None:
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
        substitute: Callable[[Any, Any], Move],
        rng: np.random.Generator,
        manners: Manners,
        over: Callable[[Episode, Ended], None],
    ) -> None:
        self.id = episode_id
        self.over = False
        self._labels, self._policy, self._substitute = labels, policy, substitute
        self._rng, self._manners, self._tell = rng, manners, over
        self._started_ms, self._started_s = now_ms(), monotonic_s()
        self._recording = Recording()
        self._noise = make_noise(policy.spec.rollout) if policy else None
        self._limit = longest(policy.spec) if policy else 0
        self._cut: NDArray[np.float32] | None = None  # the observation at which the recording was full
        self._spoilt = "" if policy else "played without a policy"
        self._steps, self._total_reward = 0, 0.0

    @property
    def version(self) -> int:
        """Of the policy that plays it; 0 where there was none yet at its beginning."""
        return self._policy.pointer.version if self._policy else 0

    def act(self, observation: ArrayLike, mask: ArrayLike | None = None) -> Move:
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
        self._steps += 1
        if self._policy is None:
            return self._substitute(observation, mask)
        spec = self._policy.spec.game
        try:
            if self.over:
                raise ConfigError("act: called after the end of the game, expected a new episode")  # noqa: TRY301
            seen = _observed(observation, spec.observation_shape)
            allowed = _allowed(mask, spec)
            with np.errstate(all="ignore"):  # what comes of too large an observation is found below
                masks = None if allowed is None else allowed[None]
                actions, log_probs = self._policy.act(seen[None], masks, self._rng, self._noise)
            if not np.isfinite(log_probs[0]):
                raise _Unusable(f"observation: up to {np.abs(seen).max():g}, more than the policy can take")  # noqa: TRY301
        except ConfigError as error:
            self._misused(error)
            return self._substitute(observation, mask)
        except _Unusable as error:
            self._spoil(str(error))
            return self._substitute(observation, mask)
        if not self._spoilt:
            self._record(seen, actions[0], log_probs[0], allowed)
        return _move(actions[0], spec.actions)

    def reward(self, amount: float) -> None:
        """Add to what the last action earned; what comes before the first action is not counted."""
        try:
            value = _number("reward", amount)
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
        except _Unusable as error:
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
            ending = Ending(final, not cut and outcome != "truncated", not cut and outcome == "win")
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
        return _observed(observation, self._policy.spec.game.observation_shape)

    def _misused(self, error: ConfigError) -> None:
        self._manners.mistake(str(error))
        self._spoil(str(error))

    def _spoil(self, reason: str) -> None:
        if not self._spoilt:
            self._spoilt = reason
            self._recording = Recording()
            _log.warning("episode spoilt, playing on", episode=self.id, reason=reason)

    def _close(self, outcome: Outcome, reason: str, ending: Ending | None = None) -> None:
        self.over = True
        pointer = self._policy.pointer if self._policy else None
        attempt = Attempt(
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
        ended = Ended(attempt) if ending is None else Ended(attempt, self._recording, ending, self._policy)
        self._tell(self, ended)


def _observed(raw: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A copy: the game may write its next observation into the same array."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found below
            seen = np.array(raw, np.float32)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"observation: {type(raw).__name__} ({error}), expected numbers of shape {shape}") from error
    if seen.shape != shape:
        raise ConfigError(f"observation: shape {seen.shape}, expected {shape}")
    if not np.isfinite(seen).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(seen))[0])
        raise _Unusable(f"observation: {seen[where]} at {list(where)}, expected finite numbers")
    return seen


def _allowed(raw: ArrayLike | None, game: GameSpec) -> NDArray[np.bool_] | None:
    if not game.masked:
        if raw is not None:
            raise ConfigError("mask: given, expected none: the run's game has no mask")
        return None
    width = sum(game.actions.sizes)
    if raw is None:
        return np.ones(width, np.bool_)
    try:
        mask = np.array(raw, np.bool_)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"mask: {type(raw).__name__} ({error}), expected {width} booleans") from error
    if mask.shape != (width,):
        raise ConfigError(f"mask: shape {mask.shape}, expected {(width,)}")
    if not all(choice.any() for choice in np.split(mask, np.cumsum(game.actions.sizes)[:-1])):
        raise _Unusable("mask: allows no action, expected at least one")
    return mask


def _number(name: str, raw: float) -> float:
    try:
        return float(raw)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {raw!r:.80}, expected a number") from error


def _move(action: ActionArray, actions: Actions) -> Move:
    """An action as the game takes it."""
    match actions:
        case Discrete():
            return int(action)
        case Box(low, high):
            return np.array(low) + (np.clip(action, -1, 1) + 1) / 2 * (np.array(high) - low)
    return action
