"""A trajectory, and the payload that holds its columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import WireError
from . import codec
from .columns import columns_of
from .entry_header import FORMAT, NO_EPISODES, Episodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from ..policy.distributions import ActionArray
    from ..spec import RunSpec
    from .columns import Column
    from .entry_header import Header

MAX_BYTES = 64 << 20  # of one payload: a thousand times the usual size, and too small to block a server for long
MAX_COLUMNS = 4096
_MAX_MAP = 24  # fields of a payload: a few more than it has, so that the error for an unknown field can name it
# Squares of larger values, and sums of them, could overflow in single precision.
REWARD_MAX = 1e9
_ACTION_MAX = 1e6  # of continuous actions, whose usual range is [-1, 1]
_LOG_PROB_MAX = 50.0  # the largest negative log-probability of one choice


@dataclass(frozen=True, slots=True)
class Trajectory:
    """T steps of B games side by side, and the results of the games that ended in them.

    For a whole game, T is its length and B is 1. After the end of a game the column continues with the next game. The
    step after the end is not `valid`: its action was ignored, and its observation is the final observation of the game
    that ended, which is needed to bootstrap a truncated game.
    """

    observations: NDArray[np.float32] | NDArray[np.uint8]  # [T + 1, B, *observation shape]
    actions: ActionArray  # [T, B, *action shape]
    log_probs: NDArray[np.float32]  # [T, B] of the actions, under the behaviour policy
    rewards: NDArray[np.float32]  # [T, B]
    terminated: NDArray[np.bool_]  # [T, B]
    truncated: NDArray[np.bool_]  # [T, B]
    valid: NDArray[np.bool_]  # [T, B]
    masks: NDArray[np.bool_] | None = None  # [T, B, A] the legal actions, concatenated over the choices
    # [T, B] the version that played each step, counted from the header's lowest one; None where one played them all.
    version_offsets: NDArray[np.int32] | None = None
    episodes: Episodes = NO_EPISODES  # on the wire they are in the entry's header

    @property
    def steps(self) -> int:
        """The number of valid environment steps."""
        return int(np.count_nonzero(self.valid))

    @property
    def games(self) -> int:
        """The number of games that ended in it."""
        return len(self.episodes)


def encode_trajectory(trajectory: Trajectory, actor: str, spec: RunSpec) -> bytes:
    """The payload of a trajectory. Observations are float16 if the run's spec says so."""
    return codec.encode(payload_fields(trajectory, actor, spec))


def payload_fields(trajectory: Trajectory, actor: str, spec: RunSpec) -> dict[str, Any]:
    """The fields of a payload, in order. The actor's name is last: the bytes before it depend on the shapes only."""
    fields: dict[str, Any] = {"format": FORMAT}
    for column in columns_of(spec):
        values = getattr(trajectory, column.name)
        if values is not None or not column.optional:
            fields[column.name] = _narrow(values) if column.dtype == "<f2" else values
    fields["actor"] = actor
    return fields


def payload_end(actor: str) -> bytes:
    """The last bytes of every payload of an actor."""
    return codec.encode({"actor": actor})[1:]  # without the map's header byte


def decode_trajectory(payload: bytes, header: Header, actor: str, spec: RunSpec) -> Trajectory:
    """Decode a payload, and check it against the run's spec and the entry's header.

    Raises:
        WireError: naming the first invalid field.
    """
    fields = codec.decode(payload, max_bytes=MAX_BYTES, max_map=_MAX_MAP)
    columns = [column for column in columns_of(spec) if column.name in fields or not column.optional]
    codec.check_fields(fields, {"format", "actor", *(column.name for column in columns)})
    codec.take_int(fields, "format", FORMAT, FORMAT)
    return checked_trajectory(take_columns(fields, columns, actor, spec), header, spec)


def take_columns(
    fields: Mapping[str, Any], columns: Iterable[Column], actor: str, spec: RunSpec
) -> dict[str, codec.Array]:
    """The arrays of a decoded payload, whose actor, dtypes, shapes and finiteness are checked.

    Raises:
        WireError: naming the first invalid field.
    """
    if codec.take_text(fields, "actor") != actor:
        raise WireError(f"actor: {fields['actor']!r:.80}, expected {actor!r}, whose stream this is")
    kind = spec.game.actions
    steps, width = codec.take_array(fields, "actions", (kind.dtype,), (None, None, *kind.shape)).shape[:2]
    if not 1 <= steps <= spec.rollout.fragment_length:
        raise WireError(f"actions: {steps} steps, expected 1 to {spec.rollout.fragment_length}")
    if not 1 <= width <= MAX_COLUMNS:
        raise WireError(f"actions: {width} columns, expected 1 to {MAX_COLUMNS}")
    return {
        column.name: codec.take_array(fields, column.name, (column.dtype,), column.shape(steps, width))
        for column in columns
    }


def checked_trajectory(arrays: dict[str, codec.Array], header: Header, spec: RunSpec) -> Trajectory:
    """The trajectory of columns whose dtypes, shapes and finiteness have been checked. It may change `arrays`.

    Raises:
        WireError: naming the first field with an invalid value.
    """
    if arrays["observations"].dtype == np.float16:
        arrays["observations"] = arrays["observations"].astype(np.float32)
    trajectory = Trajectory(**arrays, episodes=header.episodes)
    check_values(trajectory, header, spec)
    return trajectory


def _narrow(observations: NDArray[np.float32]) -> NDArray[np.float16]:
    """Convert to half floats. Values beyond their range become the largest half float, not infinity."""
    largest = np.finfo(np.float16).max
    return np.clip(observations, -largest, largest).astype(np.float16)


def _check_choices(trajectory: Trajectory, sizes: tuple[int, ...]) -> None:
    """Check discrete actions: their range, the action masks, and that the log-probabilities are at most 0."""
    actions = trajectory.actions.reshape(*trajectory.valid.shape, len(sizes))
    first = 0
    for choice, size in enumerate(sizes):
        chosen = actions[..., choice]
        if chosen.view(np.uint32).max() >= size:  # a negative action is a large unsigned number
            raise WireError(f"actions: {chosen.min()} to {chosen.max()}, expected 0 to {size - 1}")
        if trajectory.masks is not None:
            masks = trajectory.masks[..., first : first + size]
            if not masks.any(axis=-1).all():
                raise WireError("masks: a step allows no action, expected at least one")
            if not np.take_along_axis(masks, chosen[..., None], axis=-1)[..., 0][trajectory.valid].all():
                raise WireError("masks: an action that was played is masked, expected a legal one")
        first += size
    if trajectory.log_probs.max() > 1e-3:
        raise WireError(f"log_probs: {trajectory.log_probs.max()}, expected at most 0")


def check_values(trajectory: Trajectory, header: Header, spec: RunSpec) -> None:
    """Check the values of a decoded trajectory, which are finite, against the run's spec and the entry's header.

    Raises:
        WireError: naming the first invalid field.
    """
    if spec.game.actions.sizes:
        _check_choices(trajectory, spec.game.actions.sizes)
    elif np.abs(trajectory.actions).max() > _ACTION_MAX:
        raise WireError(f"actions: up to {np.abs(trajectory.actions).max()}, expected at most {_ACTION_MAX} either way")
    least = -_LOG_PROB_MAX * math.prod(spec.game.actions.shape)
    # No value can exceed the root of the sum of squares, which takes a third of the time to compute.
    log_probs, rewards = trajectory.log_probs, trajectory.rewards
    if np.vdot(log_probs, log_probs) > least**2 and log_probs.min() < least:
        raise WireError(f"log_probs: {log_probs.min()}, expected at least {least}")
    if np.vdot(rewards, rewards) > REWARD_MAX**2 and np.abs(rewards).max() > REWARD_MAX:
        raise WireError(f"rewards: up to {np.abs(rewards).max()}, expected at most {REWARD_MAX} either way")
    _check_endings(trajectory, header, spec)
    _check_versions(trajectory, header)


def _check_endings(trajectory: Trajectory, header: Header, spec: RunSpec) -> None:
    """Check the ends of games, and what the header says of steps and games."""
    ended, valid, games = trajectory.terminated | trajectory.truncated, trajectory.valid, header.games
    endings, steps = np.count_nonzero(ended), np.count_nonzero(valid)
    if endings and (np.count_nonzero(ended > valid) or np.count_nonzero(ended[:-1] & valid[1:])):
        raise WireError(
            "valid: the last step of a game is not valid or the step after it is, expected a valid last step and an "
            "invalid one after it"
        )
    if endings != games:
        raise WireError(f"entry: games is {games}, expected {endings} as ended in the steps")
    if steps != header.steps:
        raise WireError(f"entry: steps is {header.steps}, expected {steps} as in the payload")
    if not steps:
        raise WireError("valid: no step is valid, expected at least one")
    if games and (header.episodes.wins is not None) != spec.game.wins and not header.imported:
        raise WireError(
            f"entry: wins is {'there' if not spec.game.wins else 'missing'}, expected as the run's game has it"
        )


def _check_versions(trajectory: Trajectory, header: Header) -> None:
    """Check that there is a version by step exactly where more than one version played."""
    spread, offsets = header.versions[1] - header.versions[0], trajectory.version_offsets
    if (offsets is not None) != (spread > 0):
        there = "missing" if offsets is None else "there"
        raise WireError(f"version_offsets: {there}, expected them where the entry's versions differ, and only there")
    if offsets is not None and not (offsets.min() >= 0 and offsets.max() <= spread):
        raise WireError(f"version_offsets: {offsets.min()} to {offsets.max()}, expected 0 to {spread}")
