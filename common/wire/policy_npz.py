"""The npz file of a policy: all parameters by name, the run's spec, and which version it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError, WireError
from ..policy.network import carried_shapes, shapes
from ..spec import READABLE, RunSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..policy.network import Params
    from .codec import Array

SPEC = "spec"  # the run's spec as JSON, in an array of bytes
EPOCH, VERSION = "epoch", "version"  # one int64 each; files of version 0.1 lack them


def policy_arrays(params: Params, spec: RunSpec, epoch: int, version: int) -> dict[str, Array]:
    """The arrays of a file. `params` are those of the network, with the value head in units of the return."""
    return {
        **params,
        SPEC: np.frombuffer(spec.to_json().encode(), np.uint8),
        EPOCH: np.array(epoch, np.int64),
        VERSION: np.array(version, np.int64),
    }


def take_spec(arrays: Mapping[str, Array]) -> RunSpec:
    """The run's spec in the arrays of a file. Raises WireError if they have none, ConfigError if it is no spec."""
    if SPEC not in arrays or arrays[SPEC].dtype != np.uint8:
        raise WireError(f"file: arrays {', '.join(arrays)[:80]!r}, expected a model or an export of broodmind's")
    return RunSpec.from_json(arrays[SPEC].tobytes(), formats=READABLE)


def take_policy(arrays: Mapping[str, Array], spec: RunSpec) -> Params:
    """The parameters in the arrays of a file, and its normaliser of observations. Raises WireError."""
    expected = {**shapes(spec.network, spec.game), **carried_shapes(spec.network, spec.game)}
    params: Params = {}
    for name, shape in expected.items():
        array = arrays.get(name)
        if array is None or array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all():
            raise WireError(f"{name}: missing or of another shape or type, expected finite float32 {shape}")
        params[name] = array
    return params


def take_version(arrays: Mapping[str, Array]) -> tuple[int, int]:
    """Epoch and version; zeros if the file does not say."""
    return _count(arrays, EPOCH), _count(arrays, VERSION)


def _count(arrays: Mapping[str, Array], name: str) -> int:
    array = arrays.get(name)
    if array is None:
        return 0
    if array.size != 1 or array.dtype != np.int64 or array.min() < 0:
        raise ConfigError(f"{name}: {array.dtype} {array.shape}, expected one count")
    return int(array.reshape(())[()])
