"""The evaluations of clients' games, as the learner records them."""

from __future__ import annotations

import time

import pytest

from broodmind.deploy.recording.run_recorder import RunRecorder
from broodmind.deploy.records.run_folder import RunFolder, read_lines
from broodmind.learner.ledger.head import Head


def test_a_line_says_when_the_evaluation_was_done_and_when_its_version_was_committed(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    now, clock = time.time(), 0.0
    monkeypatch.setattr("broodmind.deploy.recording.metrics_file.monotonic_s", lambda: clock)
    monkeypatch.setattr("time.time", lambda: now + clock)
    recorder = RunRecorder(folder, evaluates=True)
    recorder.opened(Head(), 0)
    for version in (2, 3, 4):
        clock += 10.0
        recorder.updated({"version": version, "epoch": 1, "steps": 100 * version})
    clock += 5.0
    evaluated = {"version": 3, "epoch": 1, "steps": 300, "mean": 1.0, "std": 0.0, "episodes": 20, "wins": None}
    recorder.evaluated(evaluated, None)
    recorder.close()
    (line,) = read_lines(folder.evaluations)
    times = {name: line.pop(name) for name in ("time", "seconds", "version_time", "version_seconds")}
    assert line == evaluated
    assert times == {
        "time": pytest.approx(now + 35, abs=1e-3), "seconds": 35.0,
        "version_time": pytest.approx(now + 20, abs=1e-3), "version_seconds": 20.0,
    }  # fmt: skip
