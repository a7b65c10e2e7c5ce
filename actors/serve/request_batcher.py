"""Collects the inference requests that arrive in one turn of the event loop, and runs them in the next, together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..inference.batched_inference import run_inference

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client.episode import Episode
    from ..inference.batched_inference import Action, InferenceRequest


class RequestBatcher:
    """A batch of inference requests, at most one from each episode. For the event loop's thread only."""

    def __init__(self, max_requests: int = 1024) -> None:
        """Args: max_requests: the largest batch; with 1, every request has a forward pass of its own."""
        self._max_requests = max_requests
        self._requests: dict[Episode, tuple[InferenceRequest, Callable[[Action], None]]] = {}
        self._scheduled: asyncio.Handle | None = None

    def __contains__(self, episode: Episode) -> bool:
        """Whether a request of the episode is waiting."""
        return episode in self._requests

    def add(self, episode: Episode, request: InferenceRequest, on_action: Callable[[Action], None]) -> None:
        """Add a request. `on_action` is called with its action, before the event loop waits for events again."""
        self._requests[episode] = (request, on_action)
        if len(self._requests) >= self._max_requests:
            self.run()
        elif self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_soon(self.run)

    def run(self) -> None:
        """Run all waiting requests and deliver their actions."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        waiting, self._requests = list(self._requests.values()), {}
        actions = run_inference([request for request, _ in waiting])
        for action, (_, on_action) in zip(actions, waiting, strict=True):
            on_action(action)
