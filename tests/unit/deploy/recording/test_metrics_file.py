"""metrics.jsonl: what is appended, and what is left of it when a run goes on from an earlier version."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from broodmind.deploy.recording import metrics_file
from broodmind.deploy.recording.metrics_file import MetricsFile
from broodmind.deploy.records.run_folder import read_lines


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "metrics.jsonl"


def an_update(version, epoch=1, **more):
    return {"version": version, "epoch": epoch, "steps": 100 * version, **more}


def append(file, *updates):
    for update in updates:
        file.append(update)
    file.close()


def written(path, *versions, epoch=1, **more):
    """A start of the run that made these versions."""
    file = MetricsFile(path)
    file.resume(epoch, min(versions) - 1)
    append(file, *(an_update(version, epoch, **more) for version in versions))
    return file


def versions(path):
    return [(line["epoch"], line["version"]) for line in read_lines(path)]


def test_each_line_is_in_the_file_as_soon_as_it_is_appended(path):
    file = MetricsFile(path)
    file.resume(1, 1)
    for version in (2, 3):
        file.append(an_update(version, loss=0.5))
        assert read_lines(path)[-1]["version"] == version
    file.close()
    first, second = read_lines(path)
    assert (first["version"], first["loss"], second["version"]) == (2, 0.5, 3)
    assert 0 <= first["seconds"] <= second["seconds"]
    assert abs(first["time"] - path.stat().st_mtime) < 60


def test_a_run_that_goes_on_drops_the_lines_of_lost_versions(path):
    written(path, *range(2, 9))
    file = MetricsFile(path)
    file.resume(1, 5)
    append(file, an_update(6, 2))
    assert versions(path) == [(1, 2), (1, 3), (1, 4), (1, 5), (2, 6)]


def test_a_version_of_an_earlier_epoch_stays_though_its_number_is_higher(path):
    written(path, *range(2, 9))
    with path.open("a") as file:
        file.write(json.dumps(an_update(5, 2)) + "\n")
    MetricsFile(path).resume(2, 5)
    assert versions(path)[-2:] == [(1, 8), (2, 5)]


@pytest.mark.parametrize("tail", [b'{"version": 9, "epo', b"\0\0\0\n", b'{"epoch": 1}\n', b"[1]\n"])
def test_a_line_that_was_cut_off_or_is_none_is_dropped(path, tail):
    written(path, 2, 3)
    with path.open("ab") as file:
        file.write(tail)
    again = MetricsFile(path)
    again.resume(1, 3)
    append(again, an_update(4))
    assert versions(path) == [(1, 2), (1, 3), (1, 4)]
    assert len(path.read_bytes().splitlines()) == 3


def test_a_long_file_is_searched_from_its_end(path):
    written(path, *range(2, 500), padding="x" * 1000)
    MetricsFile(path).resume(1, 77)
    assert versions(path) == [(1, version) for version in range(2, 78)]


def test_seconds_go_on_from_start_to_start(path):
    written(path, 2)
    (line,) = read_lines(path)
    path.write_text(json.dumps({**line, "seconds": 1000.0}) + "\n")
    file = written(path, 3)
    file.resume(1, 3)  # a second session of the same process
    append(file, an_update(4))
    seconds = [line["seconds"] for line in read_lines(path)]
    assert seconds == sorted(seconds)
    assert 1000 <= seconds[1] <= seconds[2] < 1060


def test_the_lines_of_another_run_are_kept_aside(path):
    written(path, 2, 3)
    MetricsFile(path).resume(0, 0)
    assert not path.exists()
    assert versions(path.with_name("metrics.jsonl.old")) == [(1, 2), (1, 3)]


def test_a_new_run_has_an_empty_file_and_nothing_to_keep(path):
    MetricsFile(path).resume(0, 0)
    assert [each.name for each in path.parent.iterdir()] == ["metrics.jsonl"]


def test_without_a_place_to_write_the_run_goes_on(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    file = MetricsFile(tmp_path / "file" / "metrics.jsonl")
    file.resume(0, 0)
    append(file, an_update(2), an_update(3))
    assert caplog.text.count("metrics not written") == 1  # and not for each line


def test_a_number_that_is_not_finite_is_never_written(path):
    with pytest.raises(ValueError, match="JSON"):
        written(path, 2, loss=float("nan"))
    assert not read_lines(path)


@pytest.fixture
def clock(monkeypatch):
    times = {"now": 0.0}
    monkeypatch.setattr(metrics_file, "monotonic_s", lambda: times["now"])
    return times


def test_a_long_run_has_lines_for_some_of_its_updates_and_for_the_last_one(path, clock):
    """Ten updates a second for two hours, half in a second start: all until 2,000 s, then 20,000 / t a second."""
    last = 1
    for _ in range(2):
        file = MetricsFile(path)
        file.resume(1, last)
        for _ in range(36_000):
            clock["now"] += 0.1
            last += 1
            file.append(an_update(last))
        file.close()
        assert versions(path)[-1] == (1, last)
    lines = read_lines(path)
    assert [line["version"] for line in lines if line["seconds"] <= 1999] == list(range(2, 19_992))
    assert 0.8 <= len(lines) / (20_000 * (1 + math.log(7200 / 2000))) <= 1.01
    for before, after in itertools.pairwise(lines):
        assert after["seconds"] - before["seconds"] <= after["seconds"] / 20_000 + 0.102


def test_an_update_without_a_line_gets_none_where_its_version_is_lost(path, clock):
    file = MetricsFile(path)
    file.resume(1, 1)
    clock["now"] = 50_000.0
    for version in (2, 3):
        file.append(an_update(version))
    file.resume(1, 2)  # a second session, as the connection was lost
    append(file, an_update(3, 2))
    assert versions(path) == [(1, 2), (2, 3)]
