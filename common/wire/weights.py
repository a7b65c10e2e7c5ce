"""A version of the policy: its parameters as an immutable blob, and the pointer to the latest one."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..errors import WireError
from ..policy.network import Params, carried_shapes, shapes
from . import codec

if TYPE_CHECKING:
    from ..spec import RunSpec

FORMAT = 1
MAX_BYTES = 1 << 30
_FRAME_BYTES, _ARRAY_FRAME_BYTES = 1024, 256  # more than the names, types and shapes in a blob take


@dataclass(frozen=True, slots=True)
class Pointer:
    """The value of the key `latest`, which actors poll."""

    epoch: int
    version: int
    commit: str  # the commit that published it
    digest: str  # SHA-256 of the blob
    length: int  # bytes of the blob

    def to_json(self) -> str:
        """The JSON text as it is stored in Redis."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: bytes) -> Pointer:
        """The inverse of `to_json`. Raises WireError for any other text."""
        try:
            raw = json.loads(text)
            pointer = cls(
                int(raw["epoch"]),
                int(raw["version"]),
                str(raw["commit"]),
                str(raw["digest"]),
                int(raw["length"]),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise WireError(f"latest: {text[:80]!r}, expected a pointer of this version of broodmind") from error
        if not 0 <= pointer.length <= MAX_BYTES:
            raise WireError(f"latest: weights of {pointer.length} bytes, expected 0 to {MAX_BYTES}")
        return pointer


def digest(blob: bytes) -> str:
    """The SHA-256 of a blob, in hex."""
    return hashlib.sha256(blob).hexdigest()


def largest_length(spec: RunSpec) -> int:
    """At most so many bytes has a blob of the run's network."""
    arrays = {**shapes(spec.network, spec.game), **carried_shapes(spec.network, spec.game)}
    return _FRAME_BYTES + sum(4 * math.prod(shape) + _ARRAY_FRAME_BYTES for shape in arrays.values())


def check_length(pointer: Pointer, spec: RunSpec) -> None:
    """Raise WireError if a pointer names more bytes than the run's network can have; before they are fetched."""
    expected = largest_length(spec)
    if pointer.length > expected:
        raise WireError(f"latest: weights of {pointer.length} bytes, expected at most {expected} for the run's network")


def encode_weights(params: Params, spec: RunSpec) -> bytes:
    """Encode parameters. The blob has the spec's digest and not its version: equal parameters give equal blobs."""
    return codec.encode({"format": FORMAT, "spec": spec.digest, "params": params})


def decode_weights(blob: bytes, expected_digest: str, spec: RunSpec) -> Params:
    """Decode the parameters, as read-only views of the blob.

    Raises:
        WireError: if the blob's digest is not the expected one, or it does not fit the run's network.
    """
    found = digest(blob)
    if found != expected_digest:
        raise WireError(f"weights: digest {found[:16]}, expected {expected_digest[:16]}: incomplete or replaced")
    fields = codec.decode(blob, max_bytes=MAX_BYTES)
    codec.check_fields(fields, {"format", "spec", "params"})
    codec.take_int(fields, "format", FORMAT, FORMAT)
    if codec.take_text(fields, "spec") != spec.digest:
        raise WireError(f"weights: spec {fields['spec']!r:.40}, expected {spec.digest}")
    return take_params(fields["params"], spec)


def take_params(raw: object, spec: RunSpec) -> Params:
    """Check a decoded map of arrays against the network's shapes. Raises WireError."""
    if not isinstance(raw, dict):
        raise WireError(f"params: {type(raw).__name__}, expected a map")
    expected = {**shapes(spec.network, spec.game), **carried_shapes(spec.network, spec.game)}
    codec.check_fields(raw, set(expected))
    return {name: codec.take_array(raw, name, ("<f4",), shape) for name, shape in expected.items()}
