"""The commands and files in docs/games.md, and the README's lines on a game of one's own, work as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import DOCS, ROOT
from support.servers import PATIENCE_S

from broodmind.deploy.config.given import of_file

COMMAND = Path(sys.executable).with_name("broodmind")
PAGE = (DOCS / "games.md").read_text()
MODULE = """
import gymnasium


def make_env(size=3, map="4x4"):
    assert size in (3, 5)
    return gymnasium.make("FrozenLake-v1", map_name=map)
"""


# A run without a limit would not end, and two seconds of random play show no more than a few.
SHORTER = {
    "broodmind up ": ("--max-steps", "2000", "--eval-episodes", "1", "--actors", "1"),
    "broodmind check-game ": ("--seconds", "0.2"),
}


def commands(text):
    """The indented lines that are commands of ours, without comments."""
    return [line.partition("  #")[0].strip() for line in re.findall(r"^    (broodmind [^\n]*)$", text, re.MULTILINE)]


def own_game_commands():
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("## Your game")[2].partition("\n## ")[0]
    about = ("my_module:make_env", "--game-arg")
    return [line.partition(" #")[0].strip() for line in commands(section) if any(words in line for words in about)]


@pytest.fixture
def run(tmp_path):
    """Runs a command in a folder that holds my_module.py."""
    (tmp_path / "my_module.py").write_text(MODULE)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(line, *, whole=False):
        limit = () if whole else next((options for command, options in SHORTER.items() if line.startswith(command)), ())
        result = subprocess.run(
            [COMMAND, *shlex.split(line)[1:], *limit],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
        return result.stdout

    return run


def test_the_commands_work(run):
    lines = list(dict.fromkeys([*commands(PAGE), *own_game_commands()]))
    assert len(lines) >= 5
    for line in lines:
        run(line)


def test_the_report_of_a_check_is_that_of_the_page(run):
    """Its figures differ from machine to machine."""
    line = next(each for each in commands(PAGE) if each.startswith("broodmind check-game"))
    shown = re.findall(r"^    ((?:OK|warning|error) .*)$", PAGE, re.MULTILINE)

    def without_figures(lines):
        return [re.sub(r"[\d.,]+", "0", text) for text in lines]

    assert without_figures(run(line, whole=True).splitlines()) == without_figures(shown)


def test_the_file_with_arguments_is_one_that_a_command_takes(run, tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "run.toml").write_text(text)
    assert of_file(tmp_path / "run.toml").get("game_args") == {"size": 5, "map": "8x8"}
    assert 'game_args = {"size" = 5, "map" = "8x8"}' in run("broodmind config --config run.toml")
