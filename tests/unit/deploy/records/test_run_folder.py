"""The paths of a run's record, and files that a process was killed while writing."""

from __future__ import annotations

import pytest

from broodmind.common.errors import ConfigError
from broodmind.deploy.records.run_folder import RunFolder, read_lines, read_object


def checkpoint(folder, epoch, version):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"checkpoint-{epoch:04}-{version:09}.msgpack"
    path.write_bytes(b"")
    return path


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "zerg")


def test_the_best_checkpoint_is_taken_where_there_is_one_and_else_the_newest(folder):
    checkpoint(folder.checkpoints, 1, 90)
    newest = checkpoint(folder.checkpoints, 2, 8)
    assert folder.checkpoint() == folder.checkpoint("last") == newest
    best = checkpoint(folder.best, 1, 70)
    assert folder.checkpoint() == folder.checkpoint("best") == best
    assert folder.checkpoint("last") == newest


def test_a_version_is_found_by_its_number_among_the_kept_ones(folder):
    older, best = checkpoint(folder.checkpoints, 1, 90), checkpoint(folder.best, 1, 70)
    checkpoint(folder.checkpoints, 1, 91)
    assert folder.checkpoint(90) == folder.checkpoint("90") == older
    assert folder.checkpoint(70) == best


def test_the_version_of_the_newest_epoch_is_meant(folder):
    checkpoint(folder.checkpoints, 1, 90)
    again = checkpoint(folder.checkpoints, 2, 90)
    assert folder.checkpoint(90) == again


@pytest.mark.parametrize("version", [5, "best", "latest"])
def test_a_version_that_was_not_kept_is_refused_with_those_that_were(folder, version):
    checkpoint(folder.checkpoints, 1, 90)
    checkpoint(folder.checkpoints, 1, 91)
    with pytest.raises(ConfigError, match=rf"version: '?{version}'?, expected one that .* has: last, 90, 91"):
        folder.checkpoint(version)


def test_a_folder_without_checkpoints_says_what_was_expected(folder):
    with pytest.raises(ConfigError, match="expected a checkpoint file, or a run's folder with checkpoints"):
        folder.checkpoint()
    assert not folder.is_run
    folder.checkpoints.mkdir(parents=True)
    assert folder.is_run


def test_a_line_that_was_cut_off_is_left_out_and_the_others_are_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"version": 1}\n[2]\n{"version": 3}\n{"versi\xff')
    assert read_lines(path) == [{"version": 1}, {"version": 3}]
    assert read_lines(tmp_path / "none.jsonl") == []


def test_an_object_that_is_missing_or_cut_off_is_empty(tmp_path):
    path = tmp_path / "run.json"
    assert read_object(path) == {}
    path.write_text('{"run": "zer')
    assert read_object(path) == {}
    path.write_text("[1]")
    assert read_object(path) == {}
    path.write_text('{"run": "zerg"}')
    assert read_object(path) == {"run": "zerg"}
