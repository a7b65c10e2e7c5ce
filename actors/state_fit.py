"""State vectors of another length than the run's: refused, unless the user said how to make them fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ..common.errors import WireError

if TYPE_CHECKING:
    from ..common.network import Floats

StateFit = Literal["exact", "cut", "pad"]


def fit_states(states: Floats, features: int, fit: StateFit, field: str = "states") -> Floats:
    """States [N, F] as float32 [N, features].

    Args:
        states: one vector a row.
        features: how many numbers the run's game has.
        fit: "exact" changes none. "cut": of longer ones the first `features` are taken. "pad": as well, and
            shorter ones are filled up with zeros, as the original bot did without being asked.
        field: what the error calls them.

    Raises:
        WireError: naming the field and both lengths, where they differ and `fit` does not allow for it.
    """
    assert states.ndim == 2
    length = states.shape[1]
    if length < features and fit != "pad":
        raise WireError(f"{field}: {length} features, expected {features} (--state-fit pad fills up with zeros)")
    if length > features and fit == "exact":
        raise WireError(f"{field}: {length} features, expected {features} (--state-fit cut takes the first ones)")
    fitted = np.zeros((len(states), features), np.float32)
    kept = min(length, features)
    fitted[:, :kept] = states[:, :kept]
    return fitted
