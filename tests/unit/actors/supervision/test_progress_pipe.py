"""The child's reports, written to a pipe whose other end the test has."""

from __future__ import annotations

import json
import os

import pytest

from broodmind.actors.supervision.progress_pipe import HeartbeatStop, ProgressPipe
from broodmind.common.process.shutdown import Stop


@pytest.fixture
def pipe():
    """The reading and the writing end."""
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def clock(monkeypatch):
    """The seconds that have passed, to be changed."""
    now = [100.0]
    monkeypatch.setattr("broodmind.common.process.clock.monotonic_s", lambda: now[0])
    return now


def lines(end):
    try:
        return [json.loads(line) for line in os.read(end, 1 << 16).splitlines()]
    except BlockingIOError:
        return []


def test_a_report_is_a_line_of_json_and_heartbeats_are_sent_when_due(pipe, clock):
    progress = ProgressPipe(pipe[1])
    progress.report(version="1-7", seed=3)
    assert lines(pipe[0]) == [{"version": "1-7", "seed": 3}]
    for seconds, expected in ((60.0, [{}]), (0.1, []), (60.0, [{}])):
        clock[0] += seconds
        progress.heartbeat()
        assert lines(pipe[0]) == expected


def test_asking_whether_to_stop_is_progress_and_a_request_reaches_the_process(pipe, clock):
    process_stop = Stop()
    stop = HeartbeatStop(process_stop, ProgressPipe(pipe[1]))
    clock[0] += 60
    assert not stop.requested
    assert lines(pipe[0]) == [{}]
    stop.request()
    assert stop.requested
    assert process_stop.requested


def test_a_report_to_a_supervisor_that_has_ended_is_dropped():
    reading, writing = os.pipe()
    os.close(reading)
    assert ProgressPipe(writing).report(version="1-7") is None  # and raises nothing
    os.close(writing)


def test_without_a_supervisor_nothing_is_reported(capfd):
    ProgressPipe(None).report(version="1-7")
    assert capfd.readouterr() == ("", "")
