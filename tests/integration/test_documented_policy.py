"""Every command and script in docs/policy.md and docs/python.md works as it stands, and what the README has of them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from support.documents import all_documented, documented, replaced
from support.servers import WHOLE_RUN_S

import broodmind

RUN = re.compile(r"runs/(default-\d+-\d+|mine)")
LIMIT_CAME_FIRST = 10  # the exit code of a run that ended before it reached `--until-return`


def run(*command, cwd, code=0):
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=WHOLE_RUN_S, check=False)
    assert ended.returncode == code, f"{shlex.join(command)}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def execute(line, *options, cwd, code=0):
    """Run a documented command, with further options."""
    command = [sys.executable, "-P", "-m", "broodmind.deploy.cli", *shlex.split(line)[1:], *options]
    return run(*command, cwd=cwd, code=code)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two runs of a Gymnasium game: runs/a and runs/b."""
    folder = tmp_path_factory.mktemp("documented")
    line = documented("README.md", "broodmind up --game CartPole-v1")
    for name in ("a", "b"):
        options = ("--max-steps", "6000", "--eval-episodes", "2", "--out", f"runs/{name}")
        execute(line, *options, cwd=folder, code=LIMIT_CAME_FIRST)
    return folder


def test_each_command_about_a_policy_works(folder):
    for line in (
        *all_documented("docs/policy.md", "broodmind evaluate "),
        *all_documented("docs/policy.md", "broodmind play "),
        *all_documented("docs/policy.md", "broodmind plot "),
        *all_documented("docs/policy.md", "broodmind runs "),
        *all_documented("docs/policy.md", "broodmind export --checkpoint"),
        *all_documented("README.md", "broodmind evaluate "),
        *all_documented("README.md", "broodmind play "),
        *all_documented("README.md", "broodmind plot "),
    ):
        execute(RUN.sub("runs/a", line), cwd=folder)
    made = {"best.mp4", "curves.png", "policy.npz"}
    assert made <= {path.name for path in folder.iterdir()}
    assert list(folder.glob("CartPole-v1-*.gif"))


def test_the_lines_of_a_script_that_loads_a_policy_work(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for code in (documented("docs/policy.md", "import broodmind"), documented("README.md", "action = broodmind.load")):
        names = {"broodmind": broodmind, "observation": np.zeros(4, np.float32)}
        exec(RUN.sub("runs/a", code), names)
        assert names["action"] in {0, 1}
        assert names.get("value") in {None, broodmind.load("runs/a").value(np.zeros(4))}


def test_the_loop_that_plays_in_an_environment_works(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"policy": broodmind.load("runs/a")}
    exec(documented("docs/policy.md", "import gymnasium"), names)
    assert names["over"]
    assert names["env"].action_space.contains(names["action"])


def test_the_script_that_trains_works(tmp_path):
    """First to a goal that is reached at once, by the README's line, and then on in the same folder."""
    head, main = documented("docs/python.md", "import broodmind").split('if __name__ == "__main__":\n')
    call = documented("README.md", "run = broodmind.train")
    call = replaced(call, {'"until_return": 475': '"until_return": 5, "eval_episodes": 1'})
    (tmp_path / "mine.py").write_text(f'{head}if __name__ == "__main__":\n    {call}{main}')
    path, mean, action = run(sys.executable, "mine.py", cwd=tmp_path).splitlines()[-1].split()
    assert path == "runs/mine"
    assert float(mean) > 20
    assert action in {"0", "1"}
