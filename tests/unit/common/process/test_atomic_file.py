from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from broodmind.common.process.atomic_file import PART, write_durably


def test_a_file_is_written_and_replaced_whole(tmp_path):
    path = tmp_path / "state"
    for data in (b"first", b"second, and longer", b""):
        write_durably(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_data_is_synced_before_the_rename_and_the_rename_before_the_call_returns(tmp_path, monkeypatch):
    path, done = tmp_path / "state", []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(descriptor):
        done.append("the folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "the file")
        fsync(descriptor)

    def watched_replace(self, target):
        done.append("the name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    write_durably(path, b"data")
    assert done == ["the file", "the name", "the folder"]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "state"
    write_durably(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.suffix for each in tmp_path.iterdir() if each != path] == [PART]
