"""The audit's report as text."""

from __future__ import annotations

from collections import Counter

from broodmind.deploy.audit.invariants import Verdict, Violation
from broodmind.deploy.audit.verify import describe


def described(violations, **metrics):
    return describe("zerg", Verdict(violations, complete=True, metrics=Counter(metrics))).splitlines()


def test_a_run_that_is_right_is_said_to_be():
    lines = described([], accepted=7, acknowledged=9, acknowledged_consumed=8, acknowledged_waiting=1)
    assert lines[0].startswith("run zerg, since its beginning: ")
    assert lines[1].startswith("in all: accepted 7 ")
    assert lines[2] == "by the journals: acknowledged 9   consumed 8   waiting 1   lost 0"
    assert lines[3:] == ["nothing lost, nothing counted twice"]


def test_of_many_violations_the_first_are_shown_and_all_are_counted():
    for count in (20, 21, 50):
        lines = described([Violation("lost", f"number {number}") for number in range(count)])
        assert sum("number" in line for line in lines) == 20
        assert (f"... and {count - 20} more; --json lists all" in lines) == (count > 20)
        assert lines[-1] == f"{count} violations"
