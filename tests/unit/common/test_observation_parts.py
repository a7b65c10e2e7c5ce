"""The parts of an observation in a run's spec: stored, read, compared, and bounded."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from broodmind.common.actions import Discrete
from broodmind.common.errors import ConfigError, SpecMismatch
from broodmind.common.observation_parts import PARTS_MAX, ObservationPart
from broodmind.common.spec import GameSpec, RunSpec

PARTS = (
    ObservationPart(("place", 0), "one_hot", (2,), (3, 4), (0, -1)),
    ObservationPart(("camera",), "image", (2, 2)),
    ObservationPart(("speed",), "numbers", ()),
)
PLAIN = GameSpec("game", (12,), Discrete(2))
SPEC = RunSpec(replace(PLAIN, observation_parts=PARTS))


def test_a_spec_says_of_which_parts_the_observation_is_made():
    assert RunSpec.from_json(SPEC.to_json()).game.observation_parts == PARTS


def test_the_digest_and_the_comparison_are_without_the_parts():
    """A run of 0.1 whose game has options as observations goes on."""
    assert RunSpec(PLAIN).digest == SPEC.digest
    assert RunSpec(PLAIN) == SPEC
    RunSpec(PLAIN).check_game(SPEC.game)
    SPEC.check_game(PLAIN)


def test_other_parts_of_the_same_length_are_another_game():
    other = replace(PLAIN, observation_parts=PARTS[::-1])
    with pytest.raises(SpecMismatch, match=r"^observation_parts of game game: speed \(1\), camera \(4\), place.0"):
        SPEC.check_game(other)


def test_parts_must_make_the_observation():
    with pytest.raises(ConfigError, match=r"^observation_parts of game: expected parts of 12 numbers"):
        replace(PLAIN, observation_parts=PARTS[1:])


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "code"},
        {"kind": "one_hot"},
        {"sizes": [3]},
        {"sizes": [3, 0]},
        {"sizes": "34"},
        {"start": [0]},
        {"shape": [-1]},
        {"shape": 2},
        {"path": None},
        {"extra": 1},
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_a_spec_with_other_parts_is_refused(change, at):
    raw = json.loads(SPEC.to_json())
    if change.items() <= raw["game"]["observation_parts"][at].items():
        return
    raw["game"]["observation_parts"][at] |= change
    with pytest.raises(ConfigError):
        RunSpec.from_json(json.dumps(raw))


def test_the_number_of_parts_is_bounded():
    raw = json.loads(SPEC.to_json())
    raw["game"]["observation_parts"] *= PARTS_MAX
    with pytest.raises(ConfigError, match="observation parts: "):
        RunSpec.from_json(json.dumps(raw))
