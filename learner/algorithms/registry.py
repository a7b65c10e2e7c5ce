"""Settings that need no tuning: `auto` picks them by the game, and any of them can be overridden by name."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ...common.actions import Box
from ...common.errors import ConfigError
from .impact import ImpactConfig
from .ppo import PPOConfig
from .reinforce import ReinforceConfig
from .vtrace_actor_critic import VTraceConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...common.spec import GameSpec
    from .trainer import AlgorithmConfig

Algo = Literal["auto", "ppo", "impact", "vtrace", "reinforce"]


def preset(algo: Algo, game: GameSpec) -> AlgorithmConfig:
    """The settings of an algorithm for a game; `auto` is PPO, as continuous actions or discrete ones want it."""
    match algo:
        case "impact":
            return ImpactConfig()
        case "vtrace":
            return VTraceConfig()
        case "reinforce":
            return ReinforceConfig()
        case "auto" if isinstance(game.actions, Box):
            return PPOConfig(rate=1e-3, entropy=0.0, popart=0.03, epochs=8)
        case _:
            return PPOConfig()


def override(config: AlgorithmConfig, settings: Sequence[str]) -> AlgorithmConfig:
    """Settings such as `gamma=0.98` or `rates.scaling=sqrt` on top of a preset.

    Raises:
        ConfigError: naming the setting, if there is none of that name or its value is of another kind.
    """
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"set: {setting!r}, expected NAME=VALUE")
        config = _override(config, path.strip().split("."), value.strip(), setting)
    return config


def _override(config: Any, path: list[str], value: str, setting: str) -> Any:  # noqa: ANN401 - any of the dataclasses
    names = {field.name for field in fields(config)}
    if path[0] not in names:
        raise ConfigError(f"set: {setting!r}, expected one of {', '.join(sorted(names))}")
    now = getattr(config, path[0])
    if is_dataclass(now):
        return replace(config, **{path[0]: _override(now, path[1:] or [""], value, setting)})
    return replace(config, **{path[0]: _parsed(value, now, setting)})


def _parsed(value: str, now: object, setting: str) -> object:
    """The value as the kind of the one it takes the place of."""
    if isinstance(now, bool):
        if value not in {"true", "false"}:
            raise ConfigError(f"set: {setting!r}, expected true or false")
        return value == "true"
    try:
        return type(now)(value)  # type: ignore[call-arg]
    except ValueError as error:
        raise ConfigError(f"set: {setting!r}, expected {type(now).__name__}") from error
