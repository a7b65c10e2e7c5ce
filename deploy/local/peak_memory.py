"""Peak memory of a run's processes on this machine."""

from __future__ import annotations

import os


class PeakMemory:
    """The largest sum of resident memory of this process and its descendants. None if psutil is not installed."""

    def __init__(self) -> None:
        self.peak_mb: float | None = None

    def sample(self) -> None:
        """Measure once. A page that several processes share is counted for each of them."""
        try:
            import psutil
        except ModuleNotFoundError:
            return
        us = psutil.Process(os.getpid())
        total = 0
        for process in (us, *us.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self.peak_mb = max(self.peak_mb or 0.0, total / 1e6)
