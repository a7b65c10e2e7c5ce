"""A game's spec as JSON and as a table, and what of it is refused with the field's name."""

from __future__ import annotations

import json

import pytest

from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.errors import ConfigError
from broodmind.common.game_offer import OFFER_BYTES, game_from_json, game_from_table, game_to_json
from broodmind.common.spec import GameSpec

GAMES = [
    GameSpec("corridor", (2,), Discrete(3), wins=True),
    GameSpec("many", (3, 4), MultiDiscrete((3, 2)), masked=True),
    GameSpec("numbers", (2,), Box((-1.0, 0.0), (1.0, 2.0))),
    GameSpec("image", (8, 8, 3), Discrete(2), observation_dtype="uint8"),
]


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.name)
def test_an_offer_says_the_whole_spec(game):
    assert game_from_json(game_to_json(game).encode()) == game


def test_a_table_needs_only_the_arrays():
    assert game_from_table({"observation_shape": [15], "actions": 5}) == GameSpec("game", (15,), Discrete(5))
    assert game_from_table({"observation_shape": 15, "actions": 5}).observation_shape == (15,)


GOOD = {"name": "g", "observation_shape": [2], "actions": 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "game_spec: 'colour', expected one of name, observation_shape"),
        ({"name": ""}, "name: '' in game_spec, expected 1 to 64 characters"),
        ({"name": 7}, "name: 7 in game_spec"),
        ({"observation_shape": [2.5]}, r"observation_shape: \[2.5\] in game_spec, expected whole numbers"),
        ({"observation_shape": [True]}, r"observation_shape: \[True\] in game_spec"),
        ({"observation_shape": []}, r"observation_shape: \[\] in game_spec"),
        ({"observation_shape": [1 << 40]}, "observation_shape of g: .*, expected at most"),
        ({"observation_shape": [1] * 40}, "observation_shape: .* in game_spec"),
        ({"actions": "left"}, "actions: 'left' in game_spec, expected a number of actions, or a table"),
        ({"actions": 1}, "actions: 1, expected at least 2"),
        ({"actions": True}, "actions: True in game_spec"),
        ({"actions": {"kind": "discrete", "n": "3"}}, "actions: .* in game_spec"),
        ({"actions": {"kind": "discrete", "n": 2.5}}, "actions: .* in game_spec, .* expected a whole number"),
        ({"actions": {"kind": "dance"}}, "actions: .* in game_spec"),
        ({"actions": {"kind": "discrete", "n": 1 << 40}}, "actions of g: .* options, expected at most"),
        ({"actions": {"kind": "box", "low": [0], "high": ["1"]}}, "actions: .* in game_spec"),
        ({"masked": 1}, "masked: 1 in game_spec, expected true or false"),
        ({"observation_dtype": "int7"}, "observation_dtype of g: 'int7', expected one of"),
    ],
)
def test_what_a_spec_cannot_be_is_refused_with_its_field(change, message):
    with pytest.raises(ConfigError, match=message):
        game_from_table({**GOOD, **change})
    with pytest.raises(ConfigError):
        game_from_json(json.dumps({**GOOD, **change}).encode())


@pytest.mark.parametrize("missing", ["observation_shape", "actions"])
def test_a_spec_without_its_arrays_is_refused(missing):
    with pytest.raises(ConfigError, match=rf"game_spec: no {missing}, expected"):
        game_from_table({name: value for name, value in GOOD.items() if name != missing})


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b"[" * 5000, b" " * (OFFER_BYTES + 1)])
def test_what_is_no_offer_is_refused(text):
    with pytest.raises(ConfigError, match=r"^game_spec: "):
        game_from_json(text)
