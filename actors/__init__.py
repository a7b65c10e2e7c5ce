"""The actors: games, rollouts, the client for a game with its own loop, and the processes that run them."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:  # noqa: ANN401 - see there
    """Public names of the package `broodmind` that were documented as names of this package in version 0.1."""
    from ..common.deprecated import actors_attribute

    return actors_attribute(name)
