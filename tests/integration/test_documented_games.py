"""The commands and files in docs/games.md and docs/self_play.md, and the README's lines on games, work."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import all_documented, documented
from support.servers import PATIENCE_S

from broodmind.deploy.config.given import of_file

COMMAND = Path(sys.executable).with_name("broodmind")
MODULE = """
import gymnasium
from broodmind.actors.games.connect_four import ConnectFour as make_game


def make_env(size=3, map="4x4"):
    assert size in (3, 5)
    return gymnasium.make("FrozenLake-v1", map_name=map)
"""


# A run without a limit would not end, and two seconds of random play show no more than a few.
SHORTER = {
    "broodmind up ": ("--max-steps", "2000", "--eval-episodes", "1", "--actors", "1"),
    "broodmind check-game ": ("--seconds", "0.2"),
}


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


def test_the_commands_work(run, tmp_path):
    lines = (
        documented("README.md", "broodmind up --game my_module:make_env"),
        documented("README.md", "broodmind up --game FrozenLake-v1"),
        documented("README.md", "broodmind check-game"),
        *all_documented("docs/games.md", "broodmind up"),
        *all_documented("docs/self_play.md", "broodmind up"),
    )
    for line in lines:
        run(line)
    ended = [json.loads(path.read_text()) for path in tmp_path.rglob("summary.json")]
    assert len(ended) == sum(line.startswith("broodmind up ") for line in lines)
    assert all(each["evaluation"]["episodes"] == 1 for each in ended)


def test_the_report_of_a_check_is_that_of_the_page(run):
    """Its figures differ from machine to machine."""
    line, shown = documented("docs/games.md", "broodmind check-game"), documented("docs/games.md", "OK ")

    def without_figures(text):
        return re.sub(r"[\d.,]+", "0", text)

    assert without_figures(run(line, whole=True)) == without_figures(shown)


def test_the_file_with_arguments_is_one_that_a_command_takes(run, tmp_path):
    (tmp_path / "run.toml").write_text(documented("docs/games.md", "game = "))
    assert of_file(tmp_path / "run.toml").get("game_args") == {"size": 5, "map": "8x8"}
    assert 'game_args = {"size" = 5, "map" = "8x8"}' in run("broodmind config --config run.toml")
