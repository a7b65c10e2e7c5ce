"""The bounds of a run's spec: an actor that reads a hostile one must not allocate without limit."""

from __future__ import annotations

import json

import pytest

from broodmind.common.actions import Discrete, MultiDiscrete
from broodmind.common.errors import ConfigError
from broodmind.common.spec import FEATURES_MAX, LAYERS_MAX, OUTPUTS_MAX, GameSpec, NetworkSpec, RolloutSpec, RunSpec

GAME = GameSpec("toy", (3,), Discrete(2))


def test_a_spec_at_its_bounds_is_taken():
    game = GameSpec("large", (FEATURES_MAX,), Discrete(OUTPUTS_MAX))
    spec = RunSpec(game, NetworkSpec(hidden=(1 << 14,) * LAYERS_MAX), RolloutSpec(fragment_length=1 << 20))
    assert RunSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GameSpec("wide", (2, FEATURES_MAX // 2 + 1), Discrete(2)), f"expected at most {FEATURES_MAX} numbers"),
        (lambda: GameSpec("rich", (3,), Discrete(OUTPUTS_MAX + 1)), f"options, expected at most {OUTPUTS_MAX} in all"),
        (lambda: GameSpec("rich", (3,), MultiDiscrete((OUTPUTS_MAX, 2))), f"expected at most {OUTPUTS_MAX} in all"),
        (lambda: NetworkSpec(hidden=((1 << 14) + 1,)), r"hidden: \(16385,\), expected .* at most 16384"),
        (lambda: NetworkSpec(hidden=(1,) * (LAYERS_MAX + 1)), f"hidden: 33 layers, expected at most {LAYERS_MAX}"),
        (lambda: RolloutSpec(fragment_length=(1 << 20) + 1), "fragment_length: 1048577"),
    ],
)
def test_what_is_beyond_a_bound_is_refused_by_the_fields_name(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_stored_spec_beyond_a_bound_is_refused_before_anything_is_allocated():
    raw = json.loads(RunSpec(GAME).to_json())
    raw["network"]["hidden"] = [2**31]
    with pytest.raises(ConfigError, match=r"hidden: \(2147483648,\), expected"):
        RunSpec.from_json(json.dumps(raw))
