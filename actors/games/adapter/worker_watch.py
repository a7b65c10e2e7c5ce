"""Watches the worker processes of an AsyncVectorEnv: when one has died, the game ends instead of waiting for ever."""

from __future__ import annotations

import threading
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gymnasium.vector import AsyncVectorEnv

_REPORT_S = 2.0  # a worker that ends by an error of the environment has reported it, and the game gets it in this time


class WorkerWatch:
    """Ends the other workers when one has died, so that the read that waits for it fails."""

    def __init__(self, env: AsyncVectorEnv) -> None:
        self._workers: list[Any] = list(env.processes)
        self._closing = threading.Event()
        self._died = ""
        self._thread = threading.Thread(target=self._watch, daemon=True, name="worker-watch")
        self._thread.start()

    def died(self, timeout_s: float = 0.0) -> str:
        """The index and the exit code of the first worker that has died, or nothing.

        Args:
            timeout_s: how long to wait for that, where a pipe to a worker has just broken.
        """
        self._thread.join(timeout_s)
        return self._died

    def close(self) -> None:
        """Stop watching. To be called before the environment is closed."""
        self._closing.set()

    def _watch(self) -> None:
        sentinels = [worker.sentinel for worker in self._workers]
        index = sentinels.index(wait(sentinels)[0])
        first = self._workers[index]
        first.join(_REPORT_S)  # its sentinel may be ready a moment before its exit code
        if self._closing.is_set() or (not first.exitcode and self._closing.wait(_REPORT_S)):
            return
        self._died = f"worker process {index} ended with exit code {first.exitcode}"
        for worker in self._workers:
            worker.terminate()
