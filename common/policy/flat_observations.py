"""Flattens observations that have several parts, all of a batch at once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..observation_parts import ObservationPart

IMAGE_SCALE = np.float32(1 / 255)  # a pixel of 0 to 255 is a number of 0 to 1 for the network


def flatten(
    parts: Sequence[ObservationPart],
    observations: Any,  # noqa: ANN401 - dicts and tuples of arrays
    rows: int,
    dtype: str = "float32",
) -> NDArray[np.float32] | NDArray[np.uint8]:
    """Flatten a batch of observations.

    Args:
        parts: the parts of an observation.
        observations: dicts and tuples of arrays, each of which is [N, *part shape].
        rows: N.
        dtype: the result's; with uint8 all parts must be images, which keep their values of 0 to 255.

    Returns:
        [N, F], where F is the sum of the parts' features. The same numbers as `gymnasium.spaces.utils.flatten` gives
        for each observation, but for images, which it does not scale.

    Raises:
        ValueError: naming the part, if an array has another shape, or an option's number is no whole one or too large.
    """
    flat = np.empty((rows, sum(part.features for part in parts)), dtype)
    at = 0
    for part in parts:
        columns = flat[:, at : at + part.features]
        at += part.features
        values = np.asarray(at_path(observations, part))
        if values.shape != (rows, *part.shape):
            if values.shape[1:] == part.shape:
                raise ValueError(f"{part.name}: {len(values)} of them, expected {rows} as of the others")
            raise ValueError(f"{part.name}: shape {values.shape[1:]}, expected {part.shape}")
        values = values.reshape(rows, -1)
        if part.kind == "one_hot":
            _fill_one_hot(columns, values, part)
        elif part.kind == "image" and dtype != "uint8":
            np.multiply(values, IMAGE_SCALE, out=columns, casting="unsafe")
        else:
            columns[...] = values
    return flat


def _fill_one_hot(columns: NDArray[Any], values: NDArray[Any], part: ObservationPart) -> None:
    if values.dtype.kind not in "biu":
        raise ValueError(f"{part.name}: {values.dtype}, expected whole numbers")
    start, sizes, first = _options(part)
    options = values - start
    if options.min(initial=0) < 0 or (options >= sizes).any():
        row, element = np.argwhere((options < 0) | (options >= sizes))[0]
        lowest = part.start[element]
        raise ValueError(f"{part.name}: {values[row, element]}, expected {lowest} to {lowest + sizes[element] - 1}")
    columns[...] = 0
    columns[np.arange(len(values))[:, None], first + options] = 1


@functools.lru_cache(maxsize=64)
def _options(part: ObservationPart) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each element: the number of its first option, how many it has, and the column of the first."""
    sizes = np.array(part.sizes, np.int64)
    return np.array(part.start, np.int64), sizes, np.cumsum(sizes) - sizes


def at_path(observations: Any, part: ObservationPart) -> Any:  # noqa: ANN401 - dicts and tuples of arrays
    """A part of observations. Raises ValueError, naming it, if it is missing."""
    for key in part.path:
        try:
            observations = observations[key]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"{part.name}: missing from the observation") from error
    return observations
