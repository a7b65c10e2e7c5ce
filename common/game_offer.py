"""A game's spec as JSON or as a table: as a client offers it to a run that has none, and as a file has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .actions import Discrete, actions_from_json, actions_to_json
from .errors import ConfigError
from .spec import GameSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .actions import ActionSpace

OFFER_BYTES = 1 << 14  # of an offer, at most; Box actions have two numbers for each number of an action
_NAME_MAX = 64
_DIMENSIONS_MAX = 32
_FIELDS = ("name", "observation_shape", "actions", "masked", "wins", "observation_dtype")
_REQUIRED = ("observation_shape", "actions")
_ACTIONS = 'a number of actions, or a table such as {kind = "multi_discrete", sizes = [3, 2]}'


def game_to_json(game: GameSpec) -> str:
    """The JSON text of an offer."""
    fields = {name: getattr(game, name) for name in _FIELDS}
    return json.dumps({**fields, "actions": actions_to_json(game.actions)}, separators=(",", ":"))


def game_from_json(text: bytes) -> GameSpec:
    """The inverse of `game_to_json`, for what anybody may have written. Raises ConfigError, naming the field."""
    if len(text) > OFFER_BYTES:
        raise ConfigError(f"game_spec: {len(text)} bytes, expected at most {OFFER_BYTES}")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"game_spec: {text!r:.80}, expected JSON ({error})") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"game_spec: {text!r:.80}, expected a JSON object")
    return game_from_table(raw)


def game_from_table(raw: Mapping[str, Any]) -> GameSpec:
    """The spec that a table describes, with the fields of `GameSpec`; `actions` may be a number.

    Raises:
        ConfigError: naming the field, its value and what is allowed.
    """
    for name in raw:
        if name not in _FIELDS:
            raise ConfigError(f"game_spec: {name!r}, expected one of {', '.join(_FIELDS)}")
    for name in _REQUIRED:
        if name not in raw:
            raise ConfigError(f"game_spec: no {name}, expected {' and '.join(_REQUIRED)}")
    name, shape = raw.get("name", "game"), raw["observation_shape"]
    if not (isinstance(name, str) and 0 < len(name) <= _NAME_MAX):
        raise ConfigError(f"name: {name!r:.80} in game_spec, expected 1 to {_NAME_MAX} characters")
    sizes = shape if isinstance(shape, list | tuple) else [shape]
    if not (0 < len(sizes) <= _DIMENSIONS_MAX and all(type(size) is int for size in sizes)):
        raise ConfigError(f"observation_shape: {shape!r:.80} in game_spec, expected whole numbers, as [15]")
    flags = {flag: raw.get(flag, False) for flag in ("masked", "wins")}
    for flag, value in flags.items():
        if not isinstance(value, bool):
            raise ConfigError(f"{flag}: {value!r:.80} in game_spec, expected true or false")
    dtype = raw.get("observation_dtype", "float32")
    return GameSpec(name, tuple(sizes), _actions(raw["actions"]), **flags, observation_dtype=dtype)


def _actions(raw: object) -> ActionSpace:
    if type(raw) is int:
        return Discrete(raw)
    try:
        if isinstance(raw, dict):
            return actions_from_json(raw)
    except (KeyError, TypeError):
        pass
    except ConfigError as error:
        raise ConfigError(f"actions: {raw!r:.80} in game_spec, {error}") from error
    raise ConfigError(f"actions: {raw!r:.80} in game_spec, expected {_ACTIONS}")
