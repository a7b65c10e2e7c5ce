"""The length that a pointer to weights may name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.runs import SPEC

from broodmind.common.errors import WireError
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import NetworkSpec
from broodmind.common.wire.weights import Pointer, check_length, encode_weights


@pytest.mark.parametrize("hidden", [(1,), (8,), (64, 64), (7,) * 30])
def test_the_weights_of_a_network_are_no_longer_than_it_implies(hidden):
    spec = replace(SPEC, network=NetworkSpec(hidden=hidden, normalize_observations=True))
    blob = encode_weights(initial_params(spec.network, spec.game, np.random.default_rng(1)), spec)
    check_length(Pointer(1, 1, "c", "d", len(blob)), spec)
    with pytest.raises(WireError, match=f"weights of {2 * len(blob) + 20_000} bytes, expected at most"):
        check_length(Pointer(1, 1, "c", "d", 2 * len(blob) + 20_000), spec)
