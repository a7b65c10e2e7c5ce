"""`broodmind.train` in a script whose game is defined in it: the run, its callback, and what is done with it after."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from support.servers import PATIENCE_S, WHOLE_RUN_S, wait_until

import broodmind
from broodmind.common.errors import ConfigError
from broodmind.deploy.records.run_folder import RunFolder, read_lines

SMALL = {"actors": 2, "envs": 8, "eval_episodes": 5, "choosing_episodes": 5}
SCRIPT = f"""
import json, sys
import gymnasium, numpy as np
import broodmind

class Guess(gymnasium.Env):
    "The action must be the sign of the observation."
    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, length=10):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return self.observe(), {{}}

    def observe(self):
        self.shown = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.shown

    def step(self, action):
        reward = float((self.shown[0] > 0) == bool(action))
        self.at += 1
        return self.observe(), reward, self.at == self.length, False, {{}}

if __name__ == "__main__":
    seen = []
    run = broodmind.train(
        Guess,
        {{"max_steps": 12000, "game_args": {{"length": 5}}, **{SMALL!r}}},
        callback=lambda line: seen.append(line["version"]),
        out="run",
    )
    policy = broodmind.load(run.best)
    print(json.dumps({{
        "path": str(run.path), "best": str(run.best), "seen": seen, "interrupted": run.interrupted,
        "mean": run.summary["evaluation_best"]["mean"], "actions": [policy.act([x]) for x in (-0.9, 0.9)],
        "game": run.summary["game"],
    }}))
"""


def test_a_script_trains_on_a_game_of_its_own_and_loads_the_best_policy(tmp_path):
    (tmp_path / "mine.py").write_text(SCRIPT)
    ended = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, timeout=WHOLE_RUN_S, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert (found["path"], found["game"], found["interrupted"]) == ("run", "mine.py:Guess", False)
    assert found["best"].startswith("run/best/checkpoint-")
    versions = [line["version"] for line in read_lines(tmp_path / "run" / "metrics.jsonl")]
    assert found["seen"] == versions
    assert found["mean"] > 4  # of 5
    assert found["actions"] == [0, 1]


def test_a_callback_stops_the_run_and_it_is_continued_in_its_folder(tmp_path):
    """In a thread that no signal reaches, too."""
    ended, lines = [], []

    def train(**more):
        ended.append(broodmind.train("TinyZerg", {**SMALL, "max_seconds": 600}, out=tmp_path / "run", **more))

    thread = threading.Thread(target=train, kwargs={"callback": lambda line: lines.append(line) or line["version"] < 4})
    thread.start()
    thread.join(WHOLE_RUN_S)
    (run,) = ended
    assert run.interrupted
    assert lines[-1]["version"] >= 4
    versions = []
    more = {**SMALL, "max_steps": run.summary["env_steps"] + 3000}
    again = broodmind.train(
        "TinyZerg", more, out=tmp_path / "run", callback=lambda line: versions.append(line["version"])
    )
    assert versions[0] > lines[-1]["version"]  # the new lines alone
    assert again.summary["resumed_steps"] == run.summary["env_steps"]
    assert not again.interrupted
    assert broodmind.load(again.path).game.name == "TinyZerg"


def test_a_game_that_cannot_be_made_is_an_exception(tmp_path):
    with pytest.raises(ConfigError, match="game: 'nosuch:make', expected nosuch to be an importable module"):
        broodmind.train("nosuch:make", SMALL, out=tmp_path / "run")


UNGUARDED = """
import broodmind
from broodmind.actors.games.tinyzerg import TinyZerg

def make(num_envs):
    return TinyZerg(num_envs)

broodmind.train(make, {"max_steps": 100}, out="run")
"""


def test_a_script_without_a_guard_does_not_start_itself_again_and_again(tmp_path):
    (tmp_path / "mine.py").write_text(UNGUARDED)
    ended = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, timeout=WHOLE_RUN_S, check=False
    )
    assert ended.returncode == 1
    assert 'expected the call to be guarded by if __name__ == "__main__":' in ended.stderr


def test_ctrl_c_drains_the_run_and_returns_what_it_has(tmp_path):
    code = f"import broodmind; print('interrupted', broodmind.train('TinyZerg', {SMALL!r}, out='run').interrupted)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: len(read_lines(RunFolder(tmp_path / "run").metrics)) > 2)
        os.kill(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert printed.splitlines()[-1] == "interrupted True"
    assert broodmind.load(tmp_path / "run").version > 1
