"""Files of lines that each tell of a version: what is kept of them, and when a version was committed."""

from __future__ import annotations

import json

import pytest

from broodmind.deploy.records.version_lines import committed_at, lines_until


@pytest.fixture
def metrics(tmp_path):
    """Updates of two epochs; as in a long run, not each has a line."""
    path = tmp_path / "metrics.jsonl"
    lines = [(1, version, 1000.0 + version, float(version)) for version in (2, 3, 5, 9)]
    lines += [(2, 7, 2000.0, 20.0), (2, 8, 2001.5, 21.5)]
    fields = ("epoch", "version", "time", "seconds")
    path.write_text("".join(json.dumps(dict(zip(fields, line, strict=True))) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("epoch", "version", "time", "seconds"),
    [
        (1, 3, 1003.0, 3.0),
        (1, 4, 1003.0, 3.0),  # it has no line
        (2, 8, 2001.5, 21.5),
        (2, 9, 2001.5, 21.5),
        (1, 1, None, None),  # no update has made it
        (2, 6, None, None),
        (3, 9, None, None),
    ],
)
def test_a_version_was_committed_when_its_line_says_or_the_last_one_before_it(metrics, epoch, version, time, seconds):
    assert committed_at(metrics, epoch, version) == {"version_time": time, "version_seconds": seconds}


def test_without_a_file_nobody_knows_when(tmp_path):
    unknown = {"version_time": None, "version_seconds": None}
    assert committed_at(tmp_path / "metrics.jsonl", 1, 3) == unknown
    assert committed_at(tmp_path, 1, 3) == unknown


def test_what_is_no_line_of_a_version_is_not_among_them(metrics):
    whole = metrics.stat().st_size
    with metrics.open("ab+") as file:
        file.write(b'[1]\n{"epoch": 2, "version": 9, "ti')
        size, last = lines_until(file, 2, 9)
    assert (size, last["version"]) == (whole, 8)
