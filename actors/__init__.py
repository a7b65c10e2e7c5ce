"""The side that plays: games, rollouts, the processes that run them; and `connect`, for a game with its own loop."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent import Agent, Status, connect
    from .backlog import Limits
    from .episode import Episode

__all__ = ["Agent", "Episode", "Limits", "Status", "connect"]

_MODULES = {"Agent": "agent", "Episode": "episode", "Limits": "backlog", "Status": "agent", "connect": "agent"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - classes and a function
    """Import the client when it is first asked for: who only wants a game pays nothing for it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
