"""A batch: what the episodes of all clients ask in one turn of the event loop, decided together at the next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..inference.batched_inference import run_inference

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client.episode import Episode
    from ..inference.batched_inference import Action, InferenceRequest


class Batch:
    """Collects questions, one of each episode at most. For the event loop's thread."""

    def __init__(self, most: int = 1024) -> None:
        """Args: most: questions decided at once; with 1 each is decided alone."""
        self._most = most
        self._asked: dict[Episode, tuple[InferenceRequest, Callable[[Action], None]]] = {}
        self._due: asyncio.Handle | None = None

    def __contains__(self, episode: Episode) -> bool:
        """Whether a question of the episode's is waiting."""
        return episode in self._asked

    def add(self, episode: Episode, question: InferenceRequest, tell: Callable[[Action], None]) -> None:
        """Have a question decided before the loop waits again; its move is then told."""
        self._asked[episode] = (question, tell)
        if len(self._asked) >= self._most:
            self.run_inference()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_soon(self.run_inference)

    def run_inference(self) -> None:
        """Decide what has been asked so far."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        asked, self._asked = list(self._asked.values()), {}
        for move, (_, tell) in zip(run_inference([question for question, _ in asked]), asked, strict=True):
            tell(move)
