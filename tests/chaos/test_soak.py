"""Kill and stop everything, again and again: each trajectory is counted once all the same."""

from __future__ import annotations

import pytest
from support.durable import DurableServer
from support.servers import KINDS
from support.soak import Soak, lost_beyond_replay

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


@pytest.mark.parametrize(
    ("journal_s", "crashes_s", "lost"),
    [
        ([10], [(12, 13)], True),  # its actor died with the server
        ([10], [(13.1, 14)], False),  # the server had written it
        ([10, 14], [(12, 13)], False),  # its actor came back, and sent it again
        ([10, 14], [(12, 13), (15, 16)], True),  # and died at the next crash
        ([10, 14], [(12, 13), (17.1, 18)], False),  # which was too late
        ([10, 14, 17], [(12, 13), (15, 16)], False),  # and came back once more
        ([10, 14, 17], [(12, 13), (15, 16), (18, 19)], True),
    ],
)
def test_a_lost_entry_is_excused_only_if_its_actor_could_not_send_it_again(journal_s, crashes_s, lost):
    crashes_ms = [(1000 * crashed, 1000 * back) for crashed, back in crashes_s]
    assert lost_beyond_replay(10_000, [1000 * each for each in journal_s], crashes_ms) is lost
