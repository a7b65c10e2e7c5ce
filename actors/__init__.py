"""The actors: games, rollouts, the client for a game with its own loop, and the processes that run them."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:  # noqa: ANN401 - see there
    """Names that were public here before they became names of the package itself."""
    from ..common.deprecated import actors_attribute

    return actors_attribute(name)
