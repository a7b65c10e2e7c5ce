"""The largest sum of the memory of processes, some of which end while they are looked at."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from broodmind.deploy.local.peak_memory import PeakMemory


@pytest.fixture
def processes(monkeypatch):
    """The megabytes of the process and its children, in this order; None: it has just ended."""
    held = []

    class Gone(Exception):
        pass

    class Process:
        def __init__(self, _pid, index=0):
            self.index = index

        def children(self, *, recursive):
            assert recursive
            return [Process(0, index) for index in range(1, len(held))]

        def memory_info(self):
            if held[self.index] is None:
                raise Gone
            return SimpleNamespace(rss=held[self.index] * 1e6)

    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(Process=Process, NoSuchProcess=Gone))
    return held


def test_it_is_the_largest_sum_and_not_the_last(processes):
    memory = PeakMemory()
    assert memory.peak_mb is None
    for held, peak in (([50, 20, 30], 100), ([50, None, 70], 120), ([50], 120)):
        processes[:] = held
        memory.sample()
        assert memory.peak_mb == pytest.approx(peak)


def test_without_psutil_it_is_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    memory = PeakMemory()
    memory.sample()
    assert memory.peak_mb is None
