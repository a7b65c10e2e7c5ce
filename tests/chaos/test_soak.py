"""Kill and stop everything, again and again: each trajectory is counted once all the same."""

from __future__ import annotations

import pytest
from support.durable import DurableServer
from support.servers import KINDS
from support.soak import Soak

ACCIDENTS, TRAJECTORIES = 200, 50_000


@pytest.mark.parametrize("appendfsync", ["always", "everysec"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_under_accidents_counts_each_trajectory_once(kind, appendfsync, times, chaos, tmp_path):
    accidents = times(ACCIDENTS)
    soak = Soak(DurableServer(kind, appendfsync), tmp_path, chaos)
    try:
        soak.learn(1)
        soak.settle()
        for _ in range(accidents):
            soak.learn(times(TRAJECTORIES) // accidents)
            soak.accident()
        soak.learn(0)
        soak.drain()
        metrics = soak.judge()
    finally:
        soak.close()
    assert metrics["complete"]
    assert (metrics["violations"], metrics["mislabelled"]) == (0, 0)
    assert metrics["acknowledged"] >= times(TRAJECTORIES)
    assert metrics["evaluation_games"] > metrics["evaluation_entries"] > 0
    assert metrics["acknowledged_lost"] == metrics["excused"]
    assert metrics["excused"] == 0 or appendfsync == "everysec"
    assert metrics["acknowledged_waiting"] == metrics["acknowledged_unseen"] == 0
