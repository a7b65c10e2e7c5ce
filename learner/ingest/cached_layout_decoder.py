"""Decodes payloads, and skips unpacking where an earlier payload had arrays of the same shapes.

Payloads of the same shapes differ in the bytes of their arrays, and in the actor's name at their end. So what stands
around the arrays need not be unpacked again: it is compared with what `encode` writes, and the arrays are cut out from
where they must be. Whatever is framed otherwise goes the long way of `decode_trajectory`, which is the definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.wire import codec
from ...common.wire.trajectory import Trajectory, check_values, decode_trajectory, payload_end, payload_fields

if TYPE_CHECKING:
    from ...common.spec import RunSpec
    from ...common.wire.codec import Array
    from ...common.wire.trajectory import Header

_LAYOUTS_MAX = 2048  # shapes remembered, some 2 KB each: as many as games have lengths


@dataclass(frozen=True, slots=True)
class PayloadLayout:
    """The position of everything in payloads of the same shapes, up to the actor's name."""

    frames: tuple[tuple[int, bytes], ...]  # start, and the bytes that stand there in all of them
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
        """The arrays of a payload, read-only; None where it is framed otherwise."""
        for at, frame in self.frames:
            if not payload.startswith(frame, at):
                return None
        return {name: np.ndarray(shape, dtype, payload[start:stop]) for name, dtype, shape, start, stop in self.places}


class CachedLayoutDecoder:
    """Decodes what the actors of a run have sent. For one thread."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._layouts: dict[tuple[int, bool], PayloadLayout] = {}  # by their length, and whether it was imported
        self._ends: dict[str, bytes] = {}  # of each actor's payloads

    def decode(self, payload: bytes, header: Header, actor: str) -> Trajectory:
        """As `decode_trajectory` does.

        Raises:
            WireError: naming the first field that is not what it must be.
        """
        end = self._ends.get(actor)
        if end is None:
            end = self._ends[actor] = payload_end(actor)
        shapes = (len(payload) - len(end), header.imported)
        layout = self._layouts.get(shapes)
        if layout is not None and payload.endswith(end) and (arrays := layout.arrays(payload)) is not None:
            return self._checked(arrays, header)
        trajectory = decode_trajectory(payload, header, actor, self._spec)
        layout = PayloadLayout.of(trajectory, self._spec)
        if layout.length == shapes[0]:  # it is what `encode` writes, or as long
            if len(self._layouts) >= _LAYOUTS_MAX:
                self._layouts.clear()
            self._layouts[shapes] = layout
        return trajectory

    def _checked(self, arrays: dict[str, Array], header: Header) -> Trajectory:
        """What `decode_trajectory` does once the shapes are known to be right."""
        for name, array in arrays.items():
            codec.check_contents(name, array)
        arrays["observations"] = arrays["observations"].astype(np.float32, copy=False)
        trajectory = Trajectory(**arrays)
        check_values(trajectory, header, self._spec)
        return trajectory
