"""Two learners, and the one that has the lease sleeps past it, again and again."""

from __future__ import annotations

import time

import pytest
from support.durable import DurableServer
from support.servers import KINDS
from support.soak import Soak

from broodmind.common.errors import LeaseLost

TAKEOVERS, TTL_MS = 500, 250


@pytest.mark.parametrize("kind", KINDS)
def test_a_learner_paused_past_its_lease_is_replaced_and_writes_nothing_more(kind, times, chaos, tmp_path):
    soak = Soak(DurableServer(kind, "always"), tmp_path, chaos, actors=2, ttl_ms=TTL_MS)
    took_s = []
    try:
        for _ in range(times(TAKEOVERS)):
            soak.learn(1)
            time.sleep(chaos.random() * 0.02)  # at any moment of a commit
            sleeper, after_s = soak.stop_past_lease()
            took_s.append(after_s)
            assert sleeper.wait() == LeaseLost.exit_code, soak.log_tail()
        soak.learn(1)
        soak.drain()
        metrics = soak.judge()
    finally:
        soak.close()
    took_s.sort()
    p50, p99 = (took_s[int(len(took_s) * part)] for part in (0.5, 0.99))
    print(f"takeovers {len(took_s)}, p50 {p50:.3f} s, p99 {p99:.3f} s, longest {took_s[-1]:.3f} s, TTL {TTL_MS} ms")
    # The oracle sees each commit's fencing number: one written by a sleeper after its heir's would be a violation.
    assert (metrics["violations"], metrics["acknowledged_lost"], metrics["mislabelled"]) == (0, 0, 0)
    assert metrics["complete"]
    if len(took_s) >= TAKEOVERS:
        assert p99 < 2 * TTL_MS / 1000
