"""A trajectory, and the stream entry that carries it.

What the learner decides by stands outside the payload, so that a stale entry is rejected without decoding it and a
person can read it in redis-cli.
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
MAX_BYTES = 64 << 20  # of one payload: a thousand times the usual, and well under what stalls a server
MAX_COLUMNS = 4096
_MAX_MAP = 16  # fields of a payload: a few more than it has, so that an unknown one is rejected by its name
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
# What single precision still squares and sums without an overflow.
REWARD_MAX = 1e9
_ACTION_MAX = 1e6  # of numbers that are meant for [-1, 1]
_LOG_PROB_MAX = 50.0  # a choice


@dataclass(frozen=True, slots=True)
class Trajectory:
    """T steps of B games side by side, and the figures of the G games that ended in them.

    A whole game is T = its length, B = 1. A column goes on into its next game after an ending: the step after it is
    not `valid` (its action was ignored; its observation is the ended game's final one, which a bootstrap may need).
    """

    observations: NDArray[np.float32]  # [T + 1, B, *observation shape]
    actions: ActionArray  # [T, B, *action shape]
    log_probs: NDArray[np.float32]  # [T, B] of the actions, by the policy that played
    rewards: NDArray[np.float32]  # [T, B]
    terminated: NDArray[np.bool_]  # [T, B]
    truncated: NDArray[np.bool_]  # [T, B]
    valid: NDArray[np.bool_]  # [T, B]
    returns: NDArray[np.float32]  # [G] undiscounted sums of reward
    lengths: NDArray[np.int32]  # [G] in steps
    masks: NDArray[np.bool_] | None = None  # [T, B, A] what was allowed, choice by choice
    wins: NDArray[np.bool_] | None = None  # [G]

    @property
    def steps(self) -> int:
        """Environment steps that were really played."""
        return int(np.count_nonzero(self.valid))

    @property
    def games(self) -> int:
        """Games that ended in it."""
        return len(self.returns)


@dataclass(frozen=True, slots=True)
class Header:
    """What an entry says outside its payload."""

    version: int  # of the policy that played; the oldest one where it changed on the way
    epoch: int
    steps: int
    games: int
    created_ms: int
    commit: str = ""  # that published this version: after a loss another may bear its number; empty: not said
    # No version of this run played it: version and epoch say nothing, the log-probabilities are the importer's word.
    imported: bool = False

    def fields(self, payload: bytes) -> list[bytes | str | int]:
        """The entry as XADD takes it."""
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
    """The payload, observations as the run's spec wants them."""
    return codec.encode(payload_fields(trajectory, actor, spec))


def payload_fields(trajectory: Trajectory, actor: str, spec: RunSpec) -> dict[str, Any]:
    """What a payload says, in this order: what the shapes alone decide comes before the actor's name."""
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
    """How each payload of an actor ends."""
    return codec.encode({"actor": actor})[1:]  # without the map's own byte


def decode_trajectory(payload: bytes, header: Header, actor: str, spec: RunSpec) -> Trajectory:
    """The inverse, held against the run's spec and the entry's header.

    Raises:
        WireError: naming the first field that is not what it must be.
    """
    fields = codec.decode(payload, max_bytes=MAX_BYTES, max_map=_MAX_MAP)
    codec.check_fields(fields, _FIELDS)
    codec.take_int(fields, "format", FORMAT, FORMAT)
    if codec.take_text(fields, "actor") != actor:
        raise WireError(f"actor: {fields['actor']!r:.80}, expected {actor!r}, whose stream this is")
    observed = "<f2" if spec.rollout.float16 else "<f4"
    kind = spec.game.actions
    actions = codec.take_array(fields, "actions", (kind.dtype,), (None, None, *kind.shape))
    steps, columns = actions.shape[:2]
    if not 1 <= steps <= spec.rollout.length:
        raise WireError(f"actions: {steps} steps, expected 1 to {spec.rollout.length}")
    if not 1 <= columns <= MAX_COLUMNS:
        raise WireError(f"actions: {columns} columns, expected 1 to {MAX_COLUMNS}")
    shape = (steps, columns)
    observations = codec.take_array(
        fields, "observations", (observed,), (steps + 1, columns, *spec.game.observation_shape)
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
        # How an imported game ended may be unknown.
        wins=_optional(
            fields, "wins", returns.shape, wanted=spec.game.wins and not (header.imported and fields["wins"] is None)
        ),
    )
    check_values(trajectory, header, spec)
    return trajectory


def _narrow(observations: NDArray[np.float32]) -> NDArray[np.float16]:
    """As half floats; what is beyond their range becomes their largest, not infinite."""
    largest = np.finfo(np.float16).max
    return np.clip(observations, -largest, largest).astype(np.float16)


def _optional(fields: dict[str, Any], name: str, shape: tuple[int, ...], *, wanted: bool) -> NDArray[np.bool_] | None:
    if wanted:
        return codec.take_array(fields, name, ("?",), shape)
    if fields[name] is not None:
        raise WireError(f"{name}: given, expected none: the run's game has no {name}")
    return None


def _check_choices(trajectory: Trajectory, sizes: tuple[int, ...]) -> None:
    """Discrete actions: in range, allowed where there is a mask, and of a probability."""
    actions = trajectory.actions.reshape(*trajectory.valid.shape, len(sizes))
    first = 0
    for choice, size in enumerate(sizes):
        chosen = actions[..., choice]
        if chosen.view(np.uint32).max() >= size:  # a negative one too: it is vast without its sign
            raise WireError(f"actions: {chosen.min()} to {chosen.max()}, expected 0 to {size - 1}")
        if trajectory.masks is not None:
            masks = trajectory.masks[..., first : first + size]
            if not masks.any(axis=-1).all():
                raise WireError("masks: a step allows no action, expected at least one")
            if not np.take_along_axis(masks, chosen[..., None], axis=-1)[..., 0][trajectory.valid].all():
                raise WireError("masks: an action that was played is not allowed, expected it to be")
        first += size
    if trajectory.log_probs.max() > 1e-3:
        raise WireError(f"log_probs: {trajectory.log_probs.max()}, expected at most 0")


def check_values(trajectory: Trajectory, header: Header, spec: RunSpec) -> None:
    """Hold the finite values of a decoded trajectory against the run's spec and the entry's header.

    Raises:
        WireError: naming the first field that is not what it must be.
    """
    if spec.game.actions.sizes:
        _check_choices(trajectory, spec.game.actions.sizes)
    elif np.abs(trajectory.actions).max() > _ACTION_MAX:
        raise WireError(f"actions: up to {np.abs(trajectory.actions).max()}, expected at most {_ACTION_MAX} either way")
    least = -_LOG_PROB_MAX * math.prod((1, *spec.game.actions.shape))
    if trajectory.log_probs.min() < least:
        raise WireError(f"log_probs: {trajectory.log_probs.min()}, expected at least {least}")
    rewards = trajectory.rewards
    # The sum of their squares is a bound on each, and takes a third of the time.
    if np.vdot(rewards, rewards) > REWARD_MAX**2 and np.abs(rewards).max() > REWARD_MAX:
        raise WireError(f"rewards: up to {np.abs(rewards).max()}, expected at most {REWARD_MAX} either way")
    ended = trajectory.terminated | trajectory.truncated
    if np.count_nonzero(ended > trajectory.valid) or np.count_nonzero(ended[:-1] & trajectory.valid[1:]):
        raise WireError("valid: a step after an ending is, or an ending is not, expected the reverse")
    if (endings := np.count_nonzero(ended)) != trajectory.games:
        raise WireError(f"returns: of {trajectory.games} games, expected {endings} as ended in the steps")
    if trajectory.games and trajectory.lengths.min() < 1:
        raise WireError(f"lengths: {trajectory.lengths.min()}, expected at least 1")
    counted = (trajectory.steps, trajectory.games)
    if counted != (header.steps, header.games):
        raise WireError(f"entry: n and g are {(header.steps, header.games)}, expected {counted} as in the payload")
    if not counted[0]:
        raise WireError("valid: no step is, expected at least one")
