"""The CPU time that evaluations while training may take: a share of the run's own."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ...common.process.clock import Every, monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

_ASK_EVERY_S = 0.25  # the operating system, about all processes of the run
_PAUSE_S = 0.05


class CpuBudget:
    """Compares this process's CPU time, from its start on, with a share of the run's.

    Args:
        share: 0 to 1.
        run_s: the run's CPU time in seconds so far, without this process's.
        own_s: this process's.
    """

    def __init__(
        self, share: float, run_s: Callable[[], float], own_s: Callable[[], float] = time.process_time
    ) -> None:
        self._share, self._ask, self._own_s = share, run_s, own_s
        self._due = Every(_ASK_EVERY_S)
        self._run_s = run_s()

    @property
    def used(self) -> tuple[float, float]:
        """This process's CPU time and the run's when it was asked last, in seconds."""
        return self._own_s(), self._run_s

    def is_spent(self) -> bool:
        """Whether this process has used its share."""
        if self._due.due():
            self._run_s = self._ask()
        return self._own_s() >= self._share * self._run_s

    def wait(self, stopped: Callable[[], bool]) -> None:
        """Wait until there is some of it again, or until `stopped` returns True."""
        while self.is_spent() and not stopped():
            time.sleep(_PAUSE_S)


def cpu_of_one_core() -> Callable[[], float]:
    """The time since this call: the CPU time of a run that keeps one core busy."""
    began_s = monotonic_s()
    return lambda: monotonic_s() - began_s


def cpu_of_local_run(parent: int) -> Callable[[], float]:
    """The CPU time of a process and of all its descendants, without this one; of one core where psutil is missing."""
    try:
        import psutil
    except ModuleNotFoundError:
        return cpu_of_one_core()

    def measure() -> float:
        total = 0.0
        try:
            family = [(top := psutil.Process(parent)), *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return total
        for each in family:
            if each.pid == os.getpid():
                continue
            try:
                times = each.cpu_times()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            total += times.user + times.system
        return total

    return measure
