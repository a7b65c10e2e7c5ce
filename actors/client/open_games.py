"""The games that are played and recorded, or are over and not in an entry yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .episode import Episode


class OpenGames:
    """Tells when the earliest of them began: every recorded game that began before is in an entry. For any thread."""

    def __init__(self) -> None:
        self._episodes: dict[str, Episode] = {}

    def add(self, episode: Episode) -> None:
        """A game has begun."""
        self._episodes[episode.id] = episode

    def remove(self, episode_id: str) -> None:
        """The game is in an entry, or never will be. Does nothing for one that was removed before."""
        self._episodes.pop(episode_id, None)

    @property
    def since_ms(self) -> int | None:
        """When the earliest of them began; None where there is none."""
        episodes = list(self._episodes.values())  # at once, as other threads add and remove
        return min((episode.began_ms for episode in episodes if episode.recorded), default=None)
