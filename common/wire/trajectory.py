"""A trajectory, and the stream entry that contains it.

The fields by which the learner accepts or rejects an entry are outside the payload. So a stale entry can be rejected
without decoding it, and a person can read the fields in redis-cli.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..deprecated import IMPORTED_MARK
from ..errors import WireError
from . import codec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..policy.distributions import ActionArray
    from ..spec import RunSpec

FORMAT = 1
MAX_BYTES = 64 << 20  # of one payload: a thousand times the usual size, and too small to block a server for long
MAX_COLUMNS = 4096
_MAX_MAP = 16  # fields of a payload: a few more than it has, so that the error for an unknown field can name it
_FIELDS = {
    "format",
    "actor",
    "observations",
    "actions",
    "log_probs",
    "rewards",
    "terminated",
    "truncated",
    "valid",
    "masks",
    "returns",
    "lengths",
    "wins",
}
_ENTRY_FIELDS = ([b"v", b"e", b"c", b"n", b"g", b"t", b"p"], [b"v", b"e", b"c", b"n", b"g", b"t", b"b", b"p"])
_COMMIT = re.compile(rb"[0-9a-f]{0,64}")
_IMPORTED = b"imported"  # the one value of the field b, which says what the behaviour policy was
_COUNT_MAX = 2**53
# Squares of larger values, and sums of them, could overflow in single precision.
REWARD_MAX = 1e9
_ACTION_MAX = 1e6  # of continuous actions, whose usual range is [-1, 1]
_LOG_PROB_MAX = 50.0  # the largest negative log-probability of one choice


@dataclass(frozen=True, slots=True)
class Trajectory:
    """T steps of B games side by side, and the results of the G games that ended in them.

    For a whole game, T is its length and B is 1. After the end of a game the column continues with the next game. The
    step after the end is not `valid`: its action was ignored, and its observation is the final observation of the game
    that ended, which is needed to bootstrap a truncated game.
    """

    observations: NDArray[np.float32]  # [T + 1, B, *observation shape]
    actions: ActionArray  # [T, B, *action shape]
    log_probs: NDArray[np.float32]  # [T, B] of the actions, under the behaviour policy
    rewards: NDArray[np.float32]  # [T, B]
    terminated: NDArray[np.bool_]  # [T, B]
    truncated: NDArray[np.bool_]  # [T, B]
    valid: NDArray[np.bool_]  # [T, B]
    returns: NDArray[np.float32]  # [G] undiscounted sums of reward
    lengths: NDArray[np.int32]  # [G] in steps
    masks: NDArray[np.bool_] | None = None  # [T, B, A] the legal actions, concatenated over the choices
    wins: NDArray[np.bool_] | None = None  # [G]

    @property
    def steps(self) -> int:
        """The number of valid environment steps."""
        return int(np.count_nonzero(self.valid))

    @property
    def games(self) -> int:
        """The number of games that ended in it."""
        return len(self.returns)


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of an entry outside its payload."""

    version: int  # of the policy that played; the oldest one if it changed during the fragment
    epoch: int
    steps: int
    games: int
    created_ms: int
    # The commit that published this version. After a loss of data another version may have the same number. Empty:
    # not known.
    commit: str = ""
    # True if no version of this run played it. `version` and `epoch` then mean nothing, and the log-probabilities are
    # those that the importer gave.
    imported: bool = False

    def fields(self, payload: bytes) -> list[bytes | str | int]:
        """The fields and values of the entry, as arguments of XADD."""
        return [
            "v",
            self.version,
            "e",
            self.epoch,
            "c",
            self.commit,
            "n",
            self.steps,
            "g",
            self.games,
            "t",
            self.created_ms,
            *(("b", _IMPORTED) if self.imported else ()),
            "p",
            payload,
        ]


def parse_entry(raw: list[bytes] | None) -> tuple[Header, bytes]:
    """Split an entry's flat list of fields into header and payload, without decoding the payload."""
    if not raw or len(raw) % 2 or raw[::2] not in _ENTRY_FIELDS:
        names = b" ".join(raw[::2])[:80] if raw else None
        raise WireError(f"entry: fields {names!r}, expected v e c n g t p, with b before p where it is imported")
    version, epoch, commit, steps, games, created_ms, *behaviour, payload = raw[1::2]
    if not _COMMIT.fullmatch(commit):
        raise WireError(f"entry: c is {commit!r:.40}, expected a commit's id")
    if behaviour and behaviour[0] not in {_IMPORTED, IMPORTED_MARK}:
        raise WireError(f"entry: b is {behaviour[0]!r:.40}, expected {_IMPORTED.decode()}, or no b")
    try:
        v, e, n, g, t = counts = [int(each) for each in (version, epoch, steps, games, created_ms)]
    except ValueError as error:
        raise WireError(f"entry: {error}, expected integers in v e n g t") from error
    if min(counts) < 0 or max(counts) >= _COUNT_MAX:
        name, value = next(pair for pair in zip("vengt", counts, strict=True) if not 0 <= pair[1] < _COUNT_MAX)
        raise WireError(f"entry: {name} is {value!r:.40}, expected 0 to 2^53")
    return Header(v, e, n, g, t, commit.decode(), imported=bool(behaviour)), payload


def encode_trajectory(trajectory: Trajectory, actor: str, spec: RunSpec) -> bytes:
    """The payload of a trajectory. Observations are float16 if the run's spec says so."""
    return codec.encode(payload_fields(trajectory, actor, spec))


def payload_fields(trajectory: Trajectory, actor: str, spec: RunSpec) -> dict[str, Any]:
    """The fields of a payload, in order. The actor's name is last: the bytes before it depend on the shapes only."""
    return {
        "format": FORMAT,
        "observations": _narrow(trajectory.observations) if spec.rollout.float16 else trajectory.observations,
        "actions": trajectory.actions,
        "log_probs": trajectory.log_probs,
        "rewards": trajectory.rewards,
        "terminated": trajectory.terminated,
        "truncated": trajectory.truncated,
        "valid": trajectory.valid,
        "masks": trajectory.masks,
        "returns": trajectory.returns,
        "lengths": trajectory.lengths,
        "wins": trajectory.wins,
        "actor": actor,
    }


def payload_end(actor: str) -> bytes:
    """The last bytes of every payload of an actor."""
    return codec.encode({"actor": actor})[1:]  # without the map's header byte


def decode_trajectory(payload: bytes, header: Header, actor: str, spec: RunSpec) -> Trajectory:
    """Decode a payload, and check it against the run's spec and the entry's header.

    Raises:
        WireError: naming the first invalid field.
    """
    fields = codec.decode(payload, max_bytes=MAX_BYTES, max_map=_MAX_MAP)
    codec.check_fields(fields, _FIELDS)
    codec.take_int(fields, "format", FORMAT, FORMAT)
    if codec.take_text(fields, "actor") != actor:
        raise WireError(f"actor: {fields['actor']!r:.80}, expected {actor!r}, whose stream this is")
    dtype = "<f2" if spec.rollout.float16 else "<f4"
    kind = spec.game.actions
    actions = codec.take_array(fields, "actions", (kind.dtype,), (None, None, *kind.shape))
    steps, columns = actions.shape[:2]
    if not 1 <= steps <= spec.rollout.fragment_length:
        raise WireError(f"actions: {steps} steps, expected 1 to {spec.rollout.fragment_length}")
    if not 1 <= columns <= MAX_COLUMNS:
        raise WireError(f"actions: {columns} columns, expected 1 to {MAX_COLUMNS}")
    shape = (steps, columns)
    observations = codec.take_array(
        fields, "observations", (dtype,), (steps + 1, columns, *spec.game.observation_shape)
    )
    returns = codec.take_array(fields, "returns", ("<f4",), (None,))
    trajectory = Trajectory(
        observations=observations.astype(np.float32, copy=False),
        actions=actions,
        log_probs=codec.take_array(fields, "log_probs", ("<f4",), shape),
        rewards=codec.take_array(fields, "rewards", ("<f4",), shape),
        terminated=codec.take_array(fields, "terminated", ("?",), shape),
        truncated=codec.take_array(fields, "truncated", ("?",), shape),
        valid=codec.take_array(fields, "valid", ("?",), shape),
        masks=_optional(fields, "masks", (*shape, sum(kind.sizes)), wanted=spec.game.masked),
        returns=returns,
        lengths=codec.take_array(fields, "lengths", ("<i4",), returns.shape),
        # The outcome of an imported game may be unknown.
        wins=_optional(
            fields, "wins", returns.shape, wanted=spec.game.wins and not (header.imported and fields["wins"] is None)
        ),
    )
    check_values(trajectory, header, spec)
    return trajectory


def _narrow(observations: NDArray[np.float32]) -> NDArray[np.float16]:
    """Convert to half floats. Values beyond their range become the largest half float, not infinity."""
    largest = np.finfo(np.float16).max
    return np.clip(observations, -largest, largest).astype(np.float16)


def _optional(fields: dict[str, Any], name: str, shape: tuple[int, ...], *, wanted: bool) -> NDArray[np.bool_] | None:
    if wanted:
        return codec.take_array(fields, name, ("?",), shape)
    if fields[name] is not None:
        raise WireError(f"{name}: given, expected none: the run's game has no {name}")
    return None


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
    least = -_LOG_PROB_MAX * math.prod((1, *spec.game.actions.shape))
    if trajectory.log_probs.min() < least:
        raise WireError(f"log_probs: {trajectory.log_probs.min()}, expected at least {least}")
    rewards = trajectory.rewards
    # No reward can exceed the root of the sum of squares, which takes a third of the time to compute.
    if np.vdot(rewards, rewards) > REWARD_MAX**2 and np.abs(rewards).max() > REWARD_MAX:
        raise WireError(f"rewards: up to {np.abs(rewards).max()}, expected at most {REWARD_MAX} either way")
    ended = trajectory.terminated | trajectory.truncated
    if np.count_nonzero(ended > trajectory.valid) or np.count_nonzero(ended[:-1] & trajectory.valid[1:]):
        raise WireError(
            "valid: the last step of a game is not valid or the step after it is, expected a valid last step and an "
            "invalid one after it"
        )
    if (endings := np.count_nonzero(ended)) != trajectory.games:
        raise WireError(f"returns: of {trajectory.games} games, expected {endings} as ended in the steps")
    if trajectory.games and trajectory.lengths.min() < 1:
        raise WireError(f"lengths: {trajectory.lengths.min()}, expected at least 1")
    counted = (trajectory.steps, trajectory.games)
    if counted != (header.steps, header.games):
        raise WireError(f"entry: n and g are {(header.steps, header.games)}, expected {counted} as in the payload")
    if not counted[0]:
        raise WireError("valid: no step is valid, expected at least one")
