"""The budget of an evaluator: its own CPU time against a share of the run's."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.servers import wait_until

from broodmind.deploy.policies.cpu_budget import CpuBudget, cpu_of_local_run, cpu_of_one_core

BURN = """
import os, subprocess, sys, time
if len(sys.argv) > 1:
    subprocess.Popen([sys.executable, "-c", sys.argv[1]])
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
print("burnt", flush=True)
sys.stdin.read()
"""


def test_it_is_spent_at_the_share_of_the_runs_time():
    used = [0.0]
    budget = CpuBudget(0.05, lambda: 20.0, lambda: used[0])
    assert not budget.is_spent()
    used[0] = 0.99
    assert not budget.is_spent()
    used[0] = 1.0
    assert budget.is_spent()


def test_waiting_ends_when_the_run_has_used_more_or_a_stop_is_requested():
    run_s = iter([10.0, 10.0, 40.0])
    budget = CpuBudget(0.05, lambda: next(run_s, 40.0), lambda: 1.0)
    budget.wait(lambda: False)
    assert not budget.is_spent()
    stopped = iter([False, False, True])
    CpuBudget(0.05, lambda: 0.0, lambda: 1.0).wait(lambda: next(stopped))
    assert next(stopped, None) is None


def test_the_run_on_this_machine_is_a_process_with_all_that_it_started():
    """A parent and its child have used 0.3 s each."""
    started = subprocess.Popen(
        [sys.executable, "-c", BURN, BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        measure = cpu_of_local_run(started.pid)
        assert [started.stdout.readline() for _ in range(2)] == ["burnt\n"] * 2
        assert measure() >= 0.6
    finally:
        started.communicate()
    assert wait_until(lambda: measure() == 0.0)


def test_the_process_that_asks_is_not_part_of_the_run():
    script = """
import os, time
from broodmind.deploy.policies.cpu_budget import cpu_of_local_run
while time.process_time() < 0.3:
    pass
print(cpu_of_local_run(os.getpid())())
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert float(done.stdout) == 0.0


def test_without_psutil_the_run_is_taken_to_keep_one_core_busy(monkeypatch):
    clock = iter([100.0, 107.5])
    monkeypatch.setattr("broodmind.deploy.policies.cpu_budget.monotonic_s", lambda: next(clock))
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert cpu_of_local_run(1)() == pytest.approx(7.5)
    monkeypatch.undo()
    assert cpu_of_one_core()() >= 0
