"""The learning curve: which lines are drawn, and that there is a picture only where there is something to draw."""

from __future__ import annotations

import itertools
import json
import sys

import pytest

from broodmind.deploy.records.learning_curve import draw_run, sample_of
from broodmind.deploy.records.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def write(path, count, **fields):
    path.write_text("".join(json.dumps({"steps": number, **fields}) + "\n" for number in range(count)))


def test_a_short_run_is_drawn_whole_and_a_long_one_evenly_thinned_out(folder):
    write(folder.metrics, 150)
    assert [line["steps"] for line in sample_of(folder.metrics, 100)] == [*range(150)]
    write(folder.metrics, 1001)
    steps = [line["steps"] for line in sample_of(folder.metrics, 100)]
    assert 100 <= len(steps) <= 201
    assert steps[:2] == [0, steps[1]]
    assert {after - before for before, after in itertools.pairwise(steps[:-1])} == {steps[1]}
    assert steps[-1] == 1000
    assert sample_of(folder.evaluations) == []


@pytest.mark.parametrize("evaluated", [False, True])
def test_a_run_has_a_picture(folder, evaluated):
    write(folder.metrics, 5, return_mean=1.5, win_rate=0.5, staleness_p95=1.0)
    if evaluated:
        write(folder.evaluations, 2, mean=1.0)
    assert draw_run(folder, "title") == folder.curve
    assert folder.curve.read_bytes()[:4] == b"\x89PNG"


def test_without_a_return_or_matplotlib_there_is_none(folder, monkeypatch):
    write(folder.metrics, 5, return_mean=None)
    assert draw_run(folder, "title") is None
    write(folder.metrics, 5, return_mean=1.0)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert draw_run(folder, "title") is None
    assert not folder.curve.exists()
