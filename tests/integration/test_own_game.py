"""A game of the user's own, by the README's line, from the folder that its module is in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import documented
from support.event_files import scalars
from support.marks import one_kind
from support.runs import hash_of, last_json
from support.servers import PATIENCE_S, wait_until

from broodmind.common.errors import GameError, NothingTrained
from broodmind.common.server.keys import Keys
from broodmind.deploy.observe.run_view import look
from broodmind.deploy.observe.status import describe
from broodmind.deploy.records.run_folder import read_lines
from broodmind.learner.persistence.checkpoints import read_checkpoint

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
    line = documented("docs/run_folder.md", "broodmind up").split()
    assert line[-4:] == ["--metric", "supply", "--metric", "scouted"]
    small = ["--actors", "1", "--envs", "2", "--max-steps", "1000", "--eval-episodes", "3"]
    result = subprocess.run(
        [COMMAND, *line[1:], *small, "--json", "--out", "run"],
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


@one_kind
def test_a_misspelt_metric_is_told_on_the_screen_and_in_the_status_while_the_run_goes_on(
    folder, environment, shared_server, redis, run
):
    (folder / "my_module.py").write_text(_LOUD)
    options = ["--redis", shared_server.url, "--run", run, "--game", "my_module:make_env", "--actors", "1"]
    told = "metric suply: reported by no game that has ended; their infos have supply, scouted"
    command = [COMMAND, "up", *options, "--metric", "suply", "--eval-every", "0", "--eval-episodes", "1"]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as up:
        try:
            wait_until(lambda: hash_of(redis, Keys(run).head))
            shown = lambda: describe(run, look(redis, Keys(run)))  # noqa: E731
            wait_until(lambda: f"warning    local-000: {told}" in shown(), shown)
        finally:
            up.terminate()
            _, screen = up.communicate(timeout=PATIENCE_S)
    assert "metric suply left out: not in the infos of a game that ended; they have supply, scouted" in screen


@one_kind
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


GAMES = """
import gymnasium
import numpy as np
from gymnasium import spaces


class Camera(gymnasium.Env):
    \"\"\"Say whether the picture is bright, in a room of `size`, which is told too.\"\"\"

    reward = 1.0

    def __init__(self, size=2):
        self.observation_space = spaces.Dict({
            "camera": spaces.Box(0, 255, (size, size), np.uint8),
            "room": spaces.Tuple([spaces.Discrete(5, start=1), spaces.MultiBinary(2)]),
        })
        self.action_space = spaces.Tuple([spaces.Discrete(2), spaces.MultiBinary(2)])
        self.size = size

    def seen(self):
        self.bright = int(self.np_random.integers(2))
        camera = np.full((self.size, self.size), 255 * self.bright, np.uint8)
        return {"camera": camera, "room": (self.size, np.zeros(2, np.int8))}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return self.seen(), {"action_mask": (np.ones(2, np.int8), np.ones(4, np.int8))}

    def step(self, action):
        assert self.action_space.contains(action)
        reward = self.reward if action[0] == self.bright else 0.0
        self.at += 1
        return self.seen(), reward, self.at == 8, False, {"action_mask": (np.ones(2, np.int8), np.ones(4, np.int8))}


class Unpaid(Camera):
    reward = None

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, None, *rest


class Fails(Camera):
    def step(self, action):
        raise KeyError("door")
"""


@pytest.fixture
def up(folder, environment):
    """Runs `broodmind up` in the user's folder, with a module of games in it."""
    (folder / "games.py").write_text(GAMES)

    def run(*arguments):
        command = [COMMAND, "up", "--actors", "1", "--envs", "8", "--eval-episodes", "2", "--out", "out", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    return run


def test_a_game_of_dicts_images_and_several_choices_with_masks_and_an_argument_is_trained(up, folder):
    result = up("--game", "games:Camera", "--game-arg", "size=3", "--max-steps", "3000", "--json")
    assert result.returncode == 0, result.stderr
    summary = last_json(result.stdout)
    assert (summary["env_steps"] >= 3000, summary["rejected"]["invalid"]) == (True, 0)
    assert summary["game_args"] == {"size": 3}
    (newest, *_) = sorted((folder / "out" / "checkpoints").iterdir(), reverse=True)
    _, spec = read_checkpoint(newest)
    assert [(part.name, part.features) for part in spec.game.observation_parts] == [
        ("camera", 9),
        ("room.0", 5),
        ("room.1", 2),
    ]
    assert (spec.game.actions.sizes, spec.game.masked) == ((2, 2, 2), True)


def test_an_error_of_the_game_is_shown_with_its_place_and_not_retried_five_times(up, folder):
    result = up("--game", "games:Fails", "--max-steps", "3000")
    line = next(at for at, text in enumerate(GAMES.splitlines(), 1) if "KeyError" in text)
    told = f"game games:Fails: KeyError: 'door' (games.py:{line}, in step)"
    assert result.returncode == GameError.exit_code
    assert result.stderr.strip().splitlines()[-1] == f"broodmind: {told} (log: out/actor-000.log)"
    assert result.stderr.count(told) == 2  # at the first failure, and at the end
    assert (folder / "out" / "actor-000.log").read_text().count("Traceback") == 2
    ended = json.loads((folder / "out" / "summary.json").read_text())
    assert (told in ended["error"], ended["exit_code"]) == (True, GameError.exit_code)


def test_a_run_whose_play_is_all_rejected_ends_with_an_error_that_names_the_field(up):
    result = up("--game", "games:Unpaid", "--max-seconds", "2")
    assert result.returncode == NothingTrained.exit_code
    assert "game games:Unpaid: reward: nan, expected a finite number" in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("broodmind: nothing was trained on: all play was rejected")
