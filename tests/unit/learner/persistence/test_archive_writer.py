"""The archive's files: what is written comes back, what a crash tore is cut off, and the folder stays bounded."""

from __future__ import annotations

import shutil
import types
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from support.runs import BEGAN_MS, SPEC, make_header, trajectory

from broodmind.common.errors import ConfigError, WireError
from broodmind.common.wire.archive_format import (
    MAGIC,
    PART,
    SUFFIX,
    ArchivedEntry,
    encode_entry,
    frame,
    read_segment,
    whole_bytes,
)
from broodmind.common.wire.trajectory import encode_trajectory
from broodmind.learner.commit import commit_thread as commit_thread_module
from broodmind.learner.commit.commit_thread import CommitThread
from broodmind.learner.config import ArchiveConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.ledger.stream_entry import Entry
from broodmind.learner.persistence import archive_writer
from broodmind.learner.persistence.archive_writer import Archive, archived
from broodmind.learner.persistence.last_known_state import LastKnownState


def an_entry(number=1, *, rejected="", imported=False, payload=None):
    played = trajectory(number)
    header = make_header(3, 1, played.steps, played.episodes, BEGAN_MS + number, imported=imported)
    whole = encode_trajectory(played, "a", SPEC) if payload is None else payload
    return ArchivedEntry("a", (7, number), header, whole, rejected, "", "c0ffee", 4)


def of_versions(entry, low, high):
    """The entry, as if its first step had been played by `low` and all others by `high`."""
    played = trajectory(entry.id[1])
    offsets = np.full(played.valid.shape, high - low, np.int32)
    offsets[0] = 0
    payload = encode_trajectory(replace(played, version_offsets=offsets), "a", SPEC)
    return replace(entry, header=replace(entry.header, versions=(low, high)), payload=payload)


def an_archive(folder, run="run", max_bytes=1 << 30):
    return Archive(ArchiveConfig(folder, max_bytes / (1 << 20)), run, SPEC)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def entries_of(*paths):
    return [entry for path in paths for entry in read_segment(path)[1]]


def test_archived_entries_are_read_as_they_were_written(tmp_path):
    archive = an_archive(tmp_path)
    written = [
        an_entry(1),
        an_entry(2, rejected="stale", imported=True),
        of_versions(an_entry(5), 3, 9),
        ArchivedEntry("a", (7, 3), None, b"", "invalid", "entry: fields None", "c0ffee", 4),
    ]
    archive.append(written[:2])
    archive.append(written[2:])
    archive.close()
    assert names(tmp_path) == ["run-000001.archive"]
    spec, entries = read_segment(tmp_path / "run-000001.archive")
    assert spec == SPEC
    found = list(entries)
    assert found == written
    np.testing.assert_array_equal(found[0].trajectory(spec).log_probs, trajectory(1).log_probs)
    assert (found[2].header.versions, found[2].trajectory(spec).version_offsets.max()) == ((3, 9), 6)
    with pytest.raises(WireError, match="header"):
        found[3].trajectory(spec)


def test_a_segment_has_its_name_only_once_it_is_finished(tmp_path):
    archive = an_archive(tmp_path)
    assert names(tmp_path) == []
    archive.append([an_entry()])
    assert names(tmp_path) == ["run-000001.archive.part"]
    archive.close()
    archive.close()
    assert names(tmp_path) == ["run-000001.archive"]


def test_a_successor_finishes_the_segment_that_a_crash_left_and_continues_after_it(tmp_path):
    living, folder = an_archive(tmp_path / "living"), tmp_path / "crashed"
    living.append([an_entry(1), an_entry(2)])
    shutil.copytree(tmp_path / "living", folder)  # what would be on the disk if it crashed now
    living.close()
    part = folder / f"run-000001{PART}"
    whole = part.stat().st_size
    with part.open("ab") as file:
        file.write(frame(encode_entry(an_entry(3)))[:-1])
    successor = an_archive(folder)
    assert names(folder) == [part.name]  # until it has something to add it may not be this run's learner at all
    successor.append([an_entry(4)])
    successor.close()
    first, second = folder / f"run-000001{SUFFIX}", folder / f"run-000002{SUFFIX}"
    assert names(folder) == [first.name, second.name]
    assert first.stat().st_size == whole
    assert [entry.id[1] for entry in entries_of(first, second)] == [1, 2, 4]


@pytest.mark.parametrize("content", [b"", MAGIC[:5], b"no segment at all", MAGIC, MAGIC + b"\0" * 7])
def test_an_unfinished_segment_with_nothing_in_it_is_deleted(tmp_path, content):
    (tmp_path / f"run-000001{PART}").write_bytes(content)
    archive = an_archive(tmp_path)
    archive.append([an_entry()])
    archive.close()
    assert len(entries_of(*tmp_path.iterdir())) == 1


def test_segments_are_cut_by_size_and_the_oldest_deleted(tmp_path):
    one = len(frame(encode_entry(an_entry())))
    archive = an_archive(tmp_path, max_bytes=20 * one)
    for number in range(1, 201):
        archive.append([an_entry(number)])
        assert sum(path.stat().st_size for path in tmp_path.glob(f"*{SUFFIX}")) <= 20 * one
    archive.close()
    numbers = [entry.id[1] for entry in entries_of(*sorted(tmp_path.iterdir()))]
    assert numbers == list(range(201 - len(numbers), 201))
    assert 12 <= len(numbers) <= 22
    assert len(names(tmp_path)) >= 5


def test_runs_that_share_a_folder_do_not_change_each_others_files(tmp_path):
    others = [
        "other-000001.archive.part",
        "run-x-000009.archive",
        "run.1-000001.archive",
        "exp.npz",
        "run-1.archive.bak",
    ]
    for name in others:
        (tmp_path / name).write_bytes(b"theirs" * 1000)
    archive = an_archive(tmp_path, max_bytes=100)
    for number in range(5):
        archive.append([an_entry(number)])
    archive.close()
    assert set(others) < set(names(tmp_path))
    assert [name for name in names(tmp_path) if name not in others] == ["run-000005.archive"]


def no_space_left(_record):
    raise OSError(28, "No space left on device")


def test_a_failing_disk_loses_archive_entries_and_does_not_end_the_run(tmp_path, monkeypatch):
    folder = tmp_path / "archive"
    archive = an_archive(folder)
    archive.append([an_entry(1)])
    with monkeypatch.context() as patch:
        patch.setattr(archive_writer, "frame", no_space_left)
        archive.append([an_entry(2)])
    archive.append([an_entry(3)])
    shutil.move(folder, tmp_path / "gone")
    archive.append([an_entry(4)])  # into a file that is nowhere any more
    archive.close()
    archive.append([an_entry(5)])
    finished, unfinished = sorted((tmp_path / "gone").iterdir())
    assert [entry.id[1] for entry in entries_of(finished)] == [1]
    assert [entry.id[1] for entry in entries_of(unfinished)] == [3, 4]


def test_an_unusable_folder_is_refused_at_the_start(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"archive: .*expected a folder"):
        an_archive(tmp_path / "file")


def test_a_damaged_record_is_never_read_as_an_entry(tmp_path):
    archive = an_archive(tmp_path)
    archive.append([an_entry(1), an_entry(2, rejected="stale")])
    archive.close()
    path = tmp_path / f"run-000001{SUFFIX}"
    whole, sound = path.read_bytes(), entries_of(path)
    rng = np.random.default_rng(1)

    def changed(at):
        data = bytearray(whole)
        data[at] ^= 1 << int(rng.integers(8))
        return bytes(data)

    for data in [*(changed(at) for at in range(0, len(whole), 3)), *(whole[:end] for end in range(0, len(whole), 7))]:
        path.write_bytes(data)
        left = list(sound)
        with suppress(WireError):  # none where it was cut exactly between two records
            for entry in read_segment(path)[1]:
                assert entry == left.pop(0)
        assert left
        assert whole_bytes(path) < len(whole)


def test_a_record_that_declares_more_bytes_than_the_file_has_is_refused(tmp_path):
    path = tmp_path / f"x{SUFFIX}"
    path.write_bytes(MAGIC + (2**32 - 1).to_bytes(4, "little") + b"1234")
    with pytest.raises(WireError, match="expected at most 0"):
        read_segment(path)


def test_each_entry_is_archived_with_what_became_of_it():
    header = make_header(1, 1, 8, 1, 5)
    entries = [Entry("a", (7, n), header, None, payload=f"{n}".encode()) for n in (1, 2, 3)]
    refused = [
        (entries[1], "stale"),
        (Entry("a", (7, 3), header, None, "non_finite", "loss: nan"), "non_finite"),  # set aside: another object
    ]
    found = archived(entries, refused, Head(1, 9, "c"))
    assert [(entry.id[1], entry.payload, entry.rejected, entry.problem) for entry in found] == [
        (1, b"1", "", ""),
        (2, b"2", "stale", ""),
        (3, b"3", "non_finite", "loss: nan"),
    ]
    assert {(entry.commit, entry.version) for entry in found} == {("c", 9)}


@pytest.mark.parametrize("goes_through", [True, False])
def test_nothing_is_archived_before_its_commit_has_gone_through(monkeypatch, goes_through):
    order = []

    def send(*_):
        order.append("commit")
        if not goes_through:
            raise ConfigError("refused")

    monkeypatch.setattr(commit_thread_module, "send", send)
    commit_thread = CommitThread(types.SimpleNamespace(close=lambda: None), None, None, LastKnownState())
    commit_thread.submit(None, None, lambda: order.append("archive"))
    if goes_through:
        commit_thread.settle()
    else:
        with pytest.raises(ConfigError):
            commit_thread.settle()
    commit_thread.close()
    assert order == (["commit", "archive"] if goes_through else ["commit"])
