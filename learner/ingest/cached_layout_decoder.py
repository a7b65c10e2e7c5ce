"""Decodes payloads, and skips unpacking where an earlier payload had arrays of the same shapes.

Payloads of the same shapes differ only in the bytes of their arrays, and in the actor's name at their end. So the bytes
around the arrays are not unpacked again: they are compared with what `encode` writes, and the arrays are sliced out at
their known positions. A payload with another layout is decoded by `decode_trajectory`, which defines the format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.wire import codec
from ...common.wire.trajectory import checked_trajectory, decode_trajectory, payload_end, payload_fields

if TYPE_CHECKING:
    from ...common.spec import RunSpec
    from ...common.wire.codec import Array
    from ...common.wire.entry_header import Header
    from ...common.wire.trajectory import Trajectory

_LAYOUTS_MAX = 2048  # layouts kept, about 2 KB each; a run of whole games has one for each length


@dataclass(frozen=True, slots=True)
class PayloadLayout:
    """The position of everything in payloads of the same shapes, up to the actor's name."""

    frames: tuple[tuple[int, bytes], ...]  # start, and the bytes there, equal in all payloads
    places: tuple[tuple[str, np.dtype[Any], tuple[int, ...], int, int], ...]  # name, dtype, shape, start, stop
    length: int

    @classmethod
    def of(cls, trajectory: Trajectory, spec: RunSpec) -> PayloadLayout:
        """The layout of a trajectory's payload."""
        fields = payload_fields(trajectory, "", spec)
        arrays = [(name, value) for name, value in fields.items() if isinstance(value, np.ndarray)]
        *before, behind = codec.frames(fields)
        frames, places, at = [], [], 0
        for frame, (name, array) in zip(before, arrays, strict=True):
            frames.append((at, frame))
            at += len(frame)
            places.append((name, array.dtype, array.shape, at, at + array.nbytes))
            at += array.nbytes
        behind = behind.removesuffix(payload_end(""))
        return cls((*frames, (at, behind)), tuple(places), at + len(behind))

    def arrays(self, payload: bytes) -> dict[str, Array] | None:
        """The arrays of a payload, read-only; None if the payload does not have this layout."""
        for at, frame in self.frames:
            if not payload.startswith(frame, at):
                return None
        return {name: np.ndarray(shape, dtype, payload[start:stop]) for name, dtype, shape, start, stop in self.places}


class CachedLayoutDecoder:
    """Decodes the payloads of a run's actors. For one thread."""

    def __init__(self, spec: RunSpec, layouts_max: int = _LAYOUTS_MAX) -> None:
        """Args: layouts_max: how many layouts to remember."""
        self._spec, self._layouts_max = spec, layouts_max
        self._layouts: dict[int, PayloadLayout] = {}  # by length
        self._ends: dict[str, bytes] = {}  # actor to the last bytes of its payloads

    def decode(self, payload: bytes, header: Header, actor: str) -> Trajectory:
        """Decode and check a payload, with the same result as `decode_trajectory`.

        Raises:
            WireError: naming the first invalid field.
        """
        end = self._ends.get(actor)
        if end is None:
            end = self._ends[actor] = payload_end(actor)
        length = len(payload) - len(end)
        layout = self._layouts.get(length)
        if layout is not None and payload.endswith(end) and (arrays := layout.arrays(payload)) is not None:
            for name, array in arrays.items():
                codec.check_contents(name, array)
            return checked_trajectory(arrays, header, self._spec)
        trajectory = decode_trajectory(payload, header, actor, self._spec)
        layout = PayloadLayout.of(trajectory, self._spec)
        if layout.length == length:  # it is what `encode` writes, or as long
            if len(self._layouts) >= self._layouts_max:
                self._layouts.clear()
            self._layouts[length] = layout
        return trajectory
