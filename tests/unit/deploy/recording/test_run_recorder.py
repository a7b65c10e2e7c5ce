"""What a learner's recorder does with what it is told."""

from __future__ import annotations

from broodmind.deploy.recording.run_recorder import RunRecorder
from broodmind.deploy.records.run_folder import RunFolder, read_lines
from broodmind.learner.ledger.head import Head


def test_the_start_is_recorded_once_though_a_process_has_several_sessions(tmp_path):
    starts = []
    recorder = RunRecorder(RunFolder(tmp_path), starts.append)
    recorder.opened(Head(), 0)
    recorder.updated({"version": 2, "epoch": 1, "steps": 10})
    recorder.updated({"version": 3, "epoch": 1, "steps": 20})
    recorder.opened(Head(1, 2, "c"), 10)
    recorder.updated({"version": 3, "epoch": 2, "steps": 20})
    recorder.close()
    assert starts == [0]
    lines = read_lines(RunFolder(tmp_path).metrics)
    assert [(line["epoch"], line["version"]) for line in lines] == [(1, 2), (2, 3)]


def test_a_start_that_cannot_be_recorded_is_a_warning(tmp_path, caplog):
    def full(_steps):
        raise OSError(28, "No space left on device")

    recorder = RunRecorder(RunFolder(tmp_path), full)
    recorder.opened(Head(), 0)
    recorder.close()
    assert "start not recorded" in caplog.text
