"""The display of a local run: where there is a panel, what is in it, and that it is whole at any width."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from broodmind.deploy.observe.progress_display import Lines, Table, make_progress
from broodmind.deploy.observe.progress_figures import LocalRun
from broodmind.deploy.observe.run_view import ActorView, RunView
from broodmind.learner.config import Goal

VIEW = RunView(
    {"stale": "3", "invalid": "1"},
    {"run": "zerg", "steps": "123456", "return_mean": "0.91234", "staleness_p95": "2"},
    "1-aa",
    [ActorView("a", 5, 2, 3), ActorView("b", 1, None, 1)],
)
SHOWN = {"steps": "123,456", "return": "0.912", "stale p95": "2", "lag": "2", "backlog": "6", "actors": "0"}
LAST = {"time": "12.3 s", "ends in": "-", "rejected": "4 (stale 3, invalid 1)"}

# A display as in `up`, on a terminal of its own, with log lines and prints of the game meanwhile.
_PROGRAM = """
import logging, sys, time
from broodmind.common.process.log import Log, log_to_stderr
from broodmind.deploy.observe.progress_display import make_progress
from broodmind.deploy.observe.progress_figures import LocalRun
from broodmind.deploy.observe.run_view import ActorView, RunView
from broodmind.learner.config import Goal

log_to_stderr(logging.INFO)
head = {"stale": "12345", "invalid": "6", "duplicate": "7", "overflow": "1234"}
stats = {"run": "default", "steps": "123456789", "steps_per_second": "48123", "games": "3456789", "version": "12345"}
stats |= {"return_mean": "-1234.5", "length_mean": "213.2", "win_rate": "0.512", "staleness_p95": "12"}
stats |= {"metric_supply": "171.5", "metric_workers_at_minute_ten": "44.25"}
stats |= {"warning_rejected": "37% of the steps of the last 30 s were too stale: raise --max-staleness"}
view = RunView(head, stats, "1-aa", [ActorView("a", 5, 2, 3)])
run = LocalRun("default", "LunarLander-v3", Goal(until_return=200.0, max_steps=500_000_000, max_seconds=90000.0))
with make_progress(run) as progress:
    progress.note("run default created")
    for number in range(3):
        progress.show(view, 4321.0 + number)
        Log("supervisor").warning("process ended, restarting", name="local-000", reason=f"number {number}")
        time.sleep(0.2)
    print("a print of the game", file=sys.stderr)
    progress.show(view, 5000.0)
"""


def a_run(**goal):
    return LocalRun("zerg", "TinyZerg", Goal(**goal))


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def on_a_terminal(columns):
    """What a terminal of this width shows in the end: its lines."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM], stderr=slave, stdin=slave, env=environment)
    os.close(slave)
    raw = b""
    while True:
        try:
            part = os.read(master, 1 << 16)
        except OSError:  # its end, on Linux
            break
        if not part:
            break
        raw += part
    os.close(master)
    assert process.wait() == 0
    return screen(raw.decode())


def screen(text):
    """The lines after the control sequences that a live display uses: start of line, line up, erase line."""
    lines, row, column = [""], 0, 0
    while text:
        if text.startswith("\x1b["):
            end = next(at for at, letter in enumerate(text[2:], 2) if letter.isalpha())
            count, kind, text = text[2:end], text[end], text[end + 1 :]
            if kind == "A":
                row -= int(count or 1)
            elif kind == "K":
                lines[row] = "" if count == "2" else lines[row][:column]
            continue
        letter, text = text[0], text[1:]
        if letter == "\r":
            column = 0
        elif letter == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        else:
            lines[row] = lines[row][:column].ljust(column) + letter + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_panel_is_whole_at_usual_widths_and_stands_below_what_is_logged(columns):
    lines = on_a_terminal(columns)
    tops = [at for at, line in enumerate(lines) if line.startswith("╭")]
    ends = [at for at, line in enumerate(lines) if line.startswith("╰")]
    assert len(tops) == len(ends) == 1, lines  # and not one left of each time that something was logged
    panel = lines[tops[0] : ends[0] + 1]
    assert {len(line) for line in panel} == {columns}
    assert all(line[0] in "╭│╰" and line[-1] in "╮│╯" for line in panel)
    assert not any("…" in line for line in panel)
    words = " ".join(" ".join(line.strip("│╭╮╰╯─ ") for line in panel).split())
    assert "run default, LunarLander-v3" in words
    for shown in (
        *("steps 123,456,789", "return -1,234", "version 12,345", "games 3,456,789", "steps/s 48,123", "wins 0.512"),
        *("stale 12,345, invalid 6, duplicate 7, overflow 1,234", "supply 172", "workers_at_minute_ten 44.2"),
        *("of return 200", "25% of 500,000,000 steps", "6% of 25:00:00", "ends in 2:10:25", "time 1:23:20"),
        "too stale: raise --max-staleness",
    ):
        assert shown.replace(" ", "") in words.replace(" ", ""), (shown, panel)
    above = " ".join(" ".join(lines[: tops[0]]).split())
    assert "run default created" in above
    assert above.count("process ended, restarting") == 3
    assert "a print of the game" in above


def test_a_line_has_the_same_figures(capsys):
    with Lines(a_run()) as lines:
        lines.show(VIEW, 12.34)
        lines.show(VIEW, 12.35)  # too early for another one
        lines.note("a note")
    shown, note = capsys.readouterr().err.splitlines()
    assert shown.split("   ") == [f"{label} {value}" for label, value in {**SHOWN, **LAST}.items()]
    assert note == "a note"


def test_a_terminal_has_the_panel_and_anything_else_lines(terminal):
    assert isinstance(make_progress(a_run()), Table)


def test_without_a_terminal_there_are_lines():
    assert isinstance(make_progress(a_run()), Lines)


def test_without_rich_a_terminal_has_lines_too(terminal, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(make_progress(a_run()), Lines)
