"""The restore point: the states in which the best block of games began, and the one that is played now.

Which block is the best is only known at its end, so both states are kept, in one value beside the learner's state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...common.errors import WireError
from ...common.wire import codec
from ...common.wire.weights import decode_weights, digest

if TYPE_CHECKING:
    from ...common.policy.network import Params
    from ...common.spec import RunSpec

_FORMAT = 1
_MAX_BYTES = 2 << 30
_VERSION_MAX = 2**53
_FIELDS = {"format", "best", "current"}
_STATE_FIELDS = {"version", "weights", "trainer"}


@dataclass(frozen=True, slots=True)
class KeptState:
    """A version, and all that an update of it depends on."""

    version: int
    weights: bytes
    trainer: bytes  # the encoded state besides the weights

    def params(self, spec: RunSpec) -> Params:
        """The parameters. Raises WireError if they are not those of the run's network."""
        return decode_weights(self.weights, digest(self.weights), spec)

    def trainer_state(self) -> dict[str, Any]:
        """The trainer's state besides the parameters. Arrays are in the codec's encoded form."""
        return codec.decode(self.trainer, max_bytes=_MAX_BYTES)


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """Both states, as they are stored."""

    best: KeptState | None  # None: no block is complete
    current: KeptState

    def encode(self) -> bytes:
        """The value of the key `restore_point`."""
        best = None if self.best is None else _fields(self.best)
        return codec.encode({"format": _FORMAT, "best": best, "current": _fields(self.current)})

    @classmethod
    def decode(cls, data: bytes) -> RestorePoint:
        """The inverse of `encode`. Raises WireError."""
        raw = codec.decode(data, max_bytes=_MAX_BYTES)
        codec.check_fields(raw, _FIELDS)
        codec.take_int(raw, "format", _FORMAT, _FORMAT)
        return cls(None if raw["best"] is None else _state(raw["best"]), _state(raw["current"]))


def _fields(state: KeptState) -> dict[str, Any]:
    return {"version": state.version, "weights": state.weights, "trainer": state.trainer}


def _state(raw: Any) -> KeptState:  # noqa: ANN401 - from a decoded map
    if not isinstance(raw, dict):
        raise WireError(f"restore point: {raw!r:.40}, expected a map")
    codec.check_fields(raw, _STATE_FIELDS)
    version = codec.take_int(raw, "version", 0, _VERSION_MAX)
    return KeptState(version, codec.take_bytes(raw, "weights"), codec.take_bytes(raw, "trainer"))
