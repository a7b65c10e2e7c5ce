"""The protocol of `broodmind actors --serve`: frames and the requests in them, as described in docs/serve.md."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.actions import Box, actions_from_json, actions_to_json
from ...common.errors import BroodmindError, ConfigError, SpecMismatch, WireError
from ...common.wire import codec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ...common.actions import ActionSpace
    from ...common.spec import GameSpec

PROTOCOL = 1
MAX_FRAME = 4 << 20  # bytes of one message: enough for a million 32-bit floats
MAX_LIST = 4096  # longer arrays must be sent as bytes: a decoded list of numbers takes ten times the memory
MAX_LABELS = 32
MAX_WAIT_S = 3600
_MAX_CONTAINERS = 16  # lists and maps in one message
_ID_MAX = 2**63 - 1
_SIZE_BYTES = 4
_SIZE_MAX = 1 << 16  # of a discrete action
_BOUND_MAX = 1e30  # of a Box; the difference of two bounds must be finite in 32 bits too

Reply = dict[str, Any]


class InvalidRequest(BroodmindError):
    """An invalid request. It ends the episode with this `id`; if `id` is None, it ends the connection."""

    def __init__(self, message: str, episode_id: int | None = None) -> None:
        super().__init__(message)
        self.id = episode_id


@dataclass(frozen=True, slots=True)
class Hello:
    """The first request. The fields about the game are optional and are compared with the run's game."""

    protocol: int
    observation_shape: tuple[int, ...] | None = None
    actions: ActionSpace | None = None
    masked: bool | None = None
    wait_s: float = 0.0  # how long to wait for a policy before the reply

    def check(self, game: GameSpec) -> None:
        """Raise SpecMismatch, naming the field and both values, if the run's game is another one."""
        for name in ("observation_shape", "actions", "masked"):
            theirs, ours = getattr(self, name), getattr(game, name)
            if theirs not in {None, ours}:
                raise SpecMismatch(f"{name}: {theirs}, expected {ours} (the run's {game.name})")


@dataclass(frozen=True, slots=True)
class Begin:
    """Starts an episode."""

    id: int
    labels: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Act:
    """Requests an action."""

    id: int
    observation: NDArray[np.float32]  # flat, in C order
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Reward:
    """Adds to the reward of the last action."""

    id: int
    value: float


@dataclass(frozen=True, slots=True)
class LogMetric:
    """Notes a number of the game's own."""

    id: int
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class End:
    """Ends an episode with its outcome."""

    id: int
    outcome: str
    reward: float = 0.0
    observation: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Abort:
    """Aborts an episode, which is then not trained on."""

    id: int
    reason: str


OfEpisode = Act | Reward | LogMetric | End | Abort
Request = Hello | Begin | OfEpisode

_FIELDS: dict[str, tuple[set[str], set[str]]] = {  # required and optional
    "hello": ({"protocol"}, {"observation_shape", "actions", "masked", "wait_s"}),
    "episode": ({"id"}, {"labels"}),
    "act": ({"id", "observation"}, {"mask"}),
    "reward": ({"id", "value"}, set()),
    "log": ({"id", "name", "value"}, set()),
    "end": ({"id", "outcome"}, {"reward", "observation"}),
    "abort": ({"id"}, {"reason"}),
}


def frame(reply: Mapping[str, Any]) -> bytes:
    """Encode a message: its size as four bytes, big-endian, then its msgpack."""
    packed = codec.encode(reply)
    return len(packed).to_bytes(_SIZE_BYTES, "big") + packed


def parse(data: bytes) -> Request:
    """Decode the request in a frame. Raises InvalidRequest."""
    try:
        raw = codec.decode(
            data, max_bytes=MAX_FRAME, max_list=MAX_LIST, max_map=MAX_LABELS, max_containers=_MAX_CONTAINERS
        )
    except WireError as error:
        raise InvalidRequest(str(error)) from error
    given = raw.get("id")
    episode_id = given if type(given) is int and 0 <= given <= _ID_MAX else None
    try:
        return _request(raw)
    except (WireError, ConfigError) as error:
        raise InvalidRequest(str(error), episode_id) from error


def _request(raw: dict[str, Any]) -> Request:
    kind = raw.pop("type", None)
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise WireError(f"type: {kind!r:.80}, expected one of {', '.join(_FIELDS)}")
    required, optional = _FIELDS[kind]
    codec.check_fields(raw, required | (optional & raw.keys()))
    if kind == "hello":
        return _hello(raw)
    if kind == "episode":
        return Begin(_id(raw), _labels(raw.get("labels", {})))
    return _of_episode(kind, raw)


def _of_episode(kind: str, raw: dict[str, Any]) -> OfEpisode:
    match kind:
        case "act":
            return Act(_id(raw), _floats(raw["observation"]), _mask(raw.get("mask")))
        case "reward":
            return Reward(_id(raw), _number(raw, "value"))
        case "log":
            return LogMetric(_id(raw), codec.take_text(raw, "name"), _number(raw, "value"))
        case "abort":
            return Abort(_id(raw), codec.take_text(raw, "reason") if "reason" in raw else "aborted by the client")
    final = raw.get("observation")
    return End(
        _id(raw),
        codec.take_text(raw, "outcome"),
        _number(raw, "reward") if "reward" in raw else 0.0,
        None if final is None else _floats(final),
    )


def _hello(raw: dict[str, Any]) -> Hello:
    shape, actions, masked = (raw.get(name) for name in ("observation_shape", "actions", "masked"))
    if shape is not None and not (isinstance(shape, list) and all(type(size) is int for size in shape)):
        raise WireError(f"observation_shape: {shape!r:.80}, expected a list of sizes")
    if masked is not None and not isinstance(masked, bool):
        raise WireError(f"masked: {masked!r:.80}, expected true or false")
    wait_s = _number(raw, "wait_s") if "wait_s" in raw else 0.0
    if not 0 <= wait_s <= MAX_WAIT_S:
        raise WireError(f"wait_s: {wait_s}, expected 0 to {MAX_WAIT_S}")
    return Hello(
        codec.take_int(raw, "protocol", PROTOCOL, PROTOCOL),
        None if shape is None else tuple(shape),
        None if actions is None else _actions(actions),
        masked,
        wait_s,
    )


def _id(raw: dict[str, Any]) -> int:
    return codec.take_int(raw, "id", 0, _ID_MAX)


def _number(raw: dict[str, Any], name: str) -> float:
    value = raw[name]
    if type(value) not in {int, float}:
        raise WireError(f"{name}: {value!r:.80}, expected a number")
    return float(value)


def _floats(raw: object) -> NDArray[np.float32]:
    """Decode a flat array of numbers: a list, or the bytes of little-endian 32-bit floats."""
    if isinstance(raw, bytes):
        if len(raw) % 4:
            raise WireError(f"observation: {len(raw)} bytes, expected four for each number")
        return np.frombuffer(raw, "<f4")
    if not isinstance(raw, list) or any(type(each) not in {int, float} for each in raw):
        raise WireError(f"observation: {raw!r:.80}, expected numbers in a list, or bytes")
    with np.errstate(over="ignore"):  # an overflow becomes infinite, which is detected later
        return np.array(raw, np.float32)


def _mask(raw: object) -> NDArray[np.bool_] | None:
    """Decode an action mask: a list of booleans, or one byte (0 or 1) for each action."""
    if raw is None:
        return None
    if isinstance(raw, bytes):
        if raw.strip(b"\0\1"):
            raise WireError(f"mask: bytes {raw[:20]!r}, expected each to be 0 or 1")
        return np.frombuffer(raw, np.bool_)
    if not isinstance(raw, list) or any(not isinstance(each, bool) for each in raw):
        raise WireError(f"mask: {raw!r:.80}, expected booleans in a list, or bytes")
    return np.array(raw, np.bool_)


def _labels(raw: object) -> Mapping[str, object]:
    if not isinstance(raw, dict):
        raise WireError(f"labels: {raw!r:.80}, expected a map")
    for name, value in raw.items():
        if not (value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))):
            raise WireError(f"labels: {name}: {value!r:.80}, expected text, a finite number, a boolean or nil")
    return raw


def _actions(raw: object) -> ActionSpace:
    if not isinstance(raw, dict):
        raise WireError(f"actions: {raw!r:.80}, expected a map as in the reply to a hello")
    try:
        actions = actions_from_json(raw)
        match actions:
            case Box(low, high):
                usable = all(type(bound) in {int, float} and abs(bound) <= _BOUND_MAX for bound in (*low, *high))
            case _:
                usable = all(type(size) is int and size <= _SIZE_MAX for size in actions.sizes)
    except (KeyError, TypeError, ConfigError) as error:
        raise WireError(f"actions: {raw!r:.80} ({error!r}), expected a map as in the reply to a hello") from error
    if not usable:
        raise WireError(f"actions: {raw!r:.80}, expected sizes up to {_SIZE_MAX}, bounds up to {_BOUND_MAX:g}")
    return actions


def game_fields(game: GameSpec) -> Reply:
    """The description of a game in the reply to a hello."""
    return {
        "name": game.name,
        "observation_shape": list(game.observation_shape),
        "actions": actions_to_json(game.actions),
        "masked": game.masked,
        "wins": game.wins,
    }
