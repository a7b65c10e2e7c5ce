"""The display of a local run: where there is a table, and what is in it."""

from __future__ import annotations

import sys

import pytest

from broodmind.deploy.local.progress_display import Lines, Table, make_progress
from broodmind.deploy.observe.run_view import ActorView, RunView

VIEW = RunView(
    {"stale": "3", "invalid": "1"},
    {"run": "zerg", "steps": "123456", "return_mean": "0.91234", "staleness_p95": "2"},
    "1-aa",
    [ActorView("a", 5, 2, 3), ActorView("b", 1, None, 1)],
)
SHOWN = {"steps": "123,456", "return": "0.912", "stale p95": "2", "lag": "2", "backlog": "6", "rejected": "4"}


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_the_table_has_the_figures_and_the_run_s_name(capsys):
    with Table() as table:
        table.show(VIEW, 12.34)
    shown = capsys.readouterr().err
    words = " ".join(shown.replace("│", " ").split())
    assert "run zerg" in shown
    for label, value in {**SHOWN, "time": "12.3 s"}.items():
        assert f"{label} {value}" in words
    assert "version" not in words  # which the run has not told


def test_a_line_has_the_same_figures(capsys):
    with Lines() as lines:
        lines.show(VIEW, 12.34)
        lines.show(VIEW, 12.35)  # too early for another one
    (shown,) = capsys.readouterr().err.splitlines()
    assert shown.split("   ") == [f"{label} {value}" for label, value in {**SHOWN, "time": "12.3 s"}.items()]


def test_a_terminal_has_the_table_and_anything_else_lines(terminal):
    assert isinstance(make_progress(), Table)


def test_without_a_terminal_there_are_lines():
    assert isinstance(make_progress(), Lines)


def test_without_rich_a_terminal_has_lines_too(terminal, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(make_progress(), Lines)
