"""A game of the user's own, by the README's line, from the folder that its module is in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.event_files import scalars
from support.paths import ROOT
from support.runs import last_json
from support.servers import PATIENCE_S, wait_until

from broodmind.common.server.keys import Keys
from broodmind.deploy.records.run_folder import read_lines

COMMAND = Path(sys.executable).with_name("broodmind")  # as installed: its own folder is where Python looks first


@pytest.fixture
def folder(tmp_path):
    """The user's folder: a module with a factory, and a module that has the name of a package of ours."""
    (tmp_path / "my_module.py").write_text(
        "import gymnasium\n\n\ndef make_env():\n    return gymnasium.make('CartPole-v1')\n"
    )
    (tmp_path / "redis.py").write_text("raise SystemExit('imported the module of the user')\n")
    return tmp_path


_LOUD = """
import ctypes

import gymnasium


def make_env():
    print('{"loud": "in Python"}', flush=True)
    c = ctypes.CDLL(None)
    c.puts(b'{"loud": "in C"}')
    c.fflush(None)
    return Supply(gymnasium.make("CartPole-v1"))


class Supply(gymnasium.Wrapper):
    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, {**info, "supply": 7.5, "scouted": True}
"""


@pytest.fixture
def environment():
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_up_trains_and_evaluates_a_users_own_game(folder, environment):
    command = [COMMAND, "up", "--game", "my_module:make_env", "--actors", "2", "--envs", "4", "--max-steps", "3000"]
    result = subprocess.run(
        [*command, "--eval-episodes", "3", "--json"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    summary = last_json(result.stdout)
    assert summary["env_steps"] >= 3000
    assert summary["evaluation"]["episodes"] == 3
    assert summary["evaluation"]["mean"] >= 1


def test_json_is_alone_on_standard_output_whatever_the_game_prints_and_its_own_metrics_are_recorded(
    folder, environment
):
    """By the line of docs/run_folder.md."""
    (folder / "my_module.py").write_text(_LOUD)
    lines = (ROOT / "docs" / "run_folder.md").read_text().splitlines()
    (documented,) = [line.split() for line in lines if line.startswith("    broodmind up")]
    assert documented[-4:] == ["--metric", "supply", "--metric", "scouted"]
    small = ["--actors", "1", "--envs", "2", "--max-steps", "1000", "--eval-episodes", "3"]
    result = subprocess.run(
        [COMMAND, *documented[1:], *small, "--json", "--out", "run"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") == 1
    summary = json.loads(result.stdout, parse_constant=pytest.fail)
    assert (summary["game"], summary["metrics"]) == ("my_module:make_env", {"scouted": 1.0, "supply": 7.5})
    assert read_lines(folder / "run" / "metrics.jsonl")[-1]["metrics"] == {"scouted": 1.0, "supply": 7.5}
    assert {value for _, value, _ in scalars(folder / "run" / "tensorboard")["custom/supply"]} == {7.5}
    assert "of the last 100 games: scouted 1   supply 7.5" in result.stderr
    for log in ("learner.log", "actor-000.log"):
        text = (folder / "run" / log).read_text()
        assert '{"loud": "in Python"}' in text
        assert '{"loud": "in C"}' in text


def test_learner_and_actors_import_a_users_own_game_from_the_current_folder(
    folder, environment, shared_server, redis, run
):
    common = ["--redis", shared_server.url, "--run", run, "--game", "my_module:make_env"]
    with subprocess.Popen([COMMAND, "actors", *common, "--envs", "4"], cwd=folder, env=environment) as actors:
        try:
            result = subprocess.run(
                [COMMAND, "learner", *common, "--max-steps", "3000"],
                cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
            )  # fmt: skip
        finally:
            actors.terminate()
    assert result.returncode == 0, result.stderr
    wait_until(lambda: int(redis.call("HGET", Keys(run).head, "steps")) >= 3000)
