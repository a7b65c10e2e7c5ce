"""Broodmind, distributed reinforcement learning on Redis Streams: the public names.

The names listed here are the public interface. Every other module is internal and may change without notice.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Absolute imports: in the repository the sub-packages are not beside this file, where editors look for relative ones.
from broodmind.common import deprecated

if TYPE_CHECKING:
    from broodmind.actors.client.agent import Agent, Status, connect
    from broodmind.actors.client.episode import Episode
    from broodmind.actors.games.two_player_game import TwoPlayerGame
    from broodmind.actors.games.vector_game import Step, VectorGame
    from broodmind.actors.transport.send_queue import Limits
    from broodmind.common.actions import Box, Discrete, MultiDiscrete
    from broodmind.common.errors import BroodmindError, ConfigError
    from broodmind.common.spec import GameSpec
    from broodmind.deploy.policies.loading import load
    from broodmind.deploy.policies.policy import Policy
    from broodmind.deploy.training.train import Run, train

    __version__: str

# The module that defines each public name. It is imported when the name is first used, so that `broodmind --help` needs
# no numpy, and a program that only defines a game needs no Redis client.
_HOMES = {
    "Agent": ".actors.client.agent",
    "Box": ".common.actions",
    "BroodmindError": ".common.errors",
    "ConfigError": ".common.errors",
    "Discrete": ".common.actions",
    "Episode": ".actors.client.episode",
    "GameSpec": ".common.spec",
    "Limits": ".actors.transport.send_queue",
    "MultiDiscrete": ".common.actions",
    "Policy": ".deploy.policies.policy",
    "Run": ".deploy.training.train",
    "Status": ".actors.client.agent",
    "Step": ".actors.games.vector_game",
    "TwoPlayerGame": ".actors.games.two_player_game",
    "VectorGame": ".actors.games.vector_game",
    "connect": ".actors.client.agent",
    "load": ".deploy.policies.loading",
    "train": ".deploy.training.train",
}

__all__ = [
    "Agent",
    "Box",
    "BroodmindError",
    "ConfigError",
    "Discrete",
    "Episode",
    "GameSpec",
    "Limits",
    "MultiDiscrete",
    "Policy",
    "Run",
    "Status",
    "Step",
    "TwoPlayerGame",
    "VectorGame",
    "__version__",
    "connect",
    "load",
    "train",
]


deprecated.install()


def __getattr__(name: str) -> Any:  # noqa: ANN401 - classes, a function and a string
    """Import a public name when it is first used, and keep it."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("broodmind")
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}, expected one of {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
