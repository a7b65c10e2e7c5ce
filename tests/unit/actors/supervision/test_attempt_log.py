"""The record of an attempt: what it says of an exit code, of a signal, and of what the process reported."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from broodmind.actors.supervision.attempt_log import append, record
from broodmind.common.process.clock import monotonic_s


def recorded(code, ended=None, **reported):
    process = SimpleNamespace(returncode=code)
    return record(
        "slot", SimpleNamespace(process=process, reported=reported, started_ms=1000, started_s=monotonic_s()), ended
    )


@pytest.mark.parametrize(
    ("code", "outcome", "reason", "exit_code", "signal"),
    [
        (0, "drained", "", 0, None),
        (5, "crashed", "exit code 5", 5, None),
        (-9, "crashed", "ended by SIGKILL", None, "SIGKILL"),
        (-40, "crashed", "ended by 40", None, "40"),  # a real-time signal, which Python has no name for
    ],
)
def test_how_a_process_ended(code, outcome, reason, exit_code, signal):
    line = recorded(code)
    assert (line.outcome, line.reason, line.exit_code, line.signal) == (outcome, reason, exit_code, signal)


def test_the_supervisors_reason_counts_unless_the_game_had_ended_before():
    ended = "stalled", "no progress for 20 s"
    assert (recorded(-9, ended, map="m").outcome, recorded(-9, ended, map="m").map) == ("stalled", "m")
    line = recorded(-9, ended, outcome="win")
    assert (line.outcome, line.reason, line.signal) == ("win", "", "SIGKILL")


def test_each_record_is_one_line_of_json(tmp_path):
    for code in (0, 1):
        append(tmp_path / "records", recorded(code))
    lines = [json.loads(line) for line in (tmp_path / "records").read_text().splitlines()]
    assert [(line["id"], line["exit_code"]) for line in lines] == [("slot-1000", 0), ("slot-1000", 1)]
