"""The files that a learner of its own derives from its metrics."""

from __future__ import annotations

import json

import pytest
from support.event_files import scalars
from support.servers import wait_until

from broodmind.deploy.recording.derived_files import DerivedFiles
from broodmind.deploy.records.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def train(folder, version):
    fields = {"version": version, "epoch": 1, "steps": version, "time": 1.0, "seconds": 1.0, "return_mean": 1.0}
    with folder.metrics.open("a") as file:
        file.write(json.dumps(fields) + "\n")


def test_they_follow_the_run_and_are_complete_at_its_end(folder):
    with DerivedFiles(folder, "title", every_s=0.01) as derived:
        derived.start()
        train(folder, 1)
        wait_until(lambda: list(folder.tensorboard.glob("events.*")))
        wait_until(lambda: scalars(folder.tensorboard))
        train(folder, 2)
    assert [step for step, _, _ in scalars(folder.tensorboard)["rollout/ep_rew_mean"]] == [1, 2]
    assert folder.curve.read_bytes()[:4] == b"\x89PNG"


def test_a_learner_that_never_became_the_run_s_writes_none(folder):
    train(folder, 1)
    with DerivedFiles(folder, "title"):
        pass
    assert not folder.tensorboard.exists()
    assert not folder.curve.exists()


def test_a_disk_that_is_full_ends_the_files_and_not_the_run(folder, caplog):
    train(folder, 1)
    folder.tensorboard.write_text("a file, where the folder should be")
    with DerivedFiles(folder, "title", every_s=0.01) as derived:
        derived.start()
    assert "files not written" in caplog.text
