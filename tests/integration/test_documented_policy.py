"""Every command and script in docs/policy.md and docs/python.md works as it stands, and what the README has of them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from support.paths import ROOT
from support.servers import WHOLE_RUN_S

from broodmind import load

# Of a run on many machines, which tests of their own run with a server: test_evaluator.py, test_export.py.
NEEDS_A_SERVER = "redis://10.0.0.5"
RUN = re.compile(r"runs/(default-\d+-\d+|mine)")
OF_README = ("broodmind evaluate ", "broodmind play ", "broodmind plot ")


def code_of(page, language):
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands_of(page):
    """The indented lines of a page that are commands of ours, without comments."""
    lines = re.findall(r"^    (broodmind [^\n]*)$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    return [line.partition("  #")[0].strip() for line in lines]


def run(*command, cwd):
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=WHOLE_RUN_S, check=False)
    assert ended.returncode == 0, f"{shlex.join(command)}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two runs of a Gymnasium game: runs/a and runs/b."""
    folder = tmp_path_factory.mktemp("documented")
    for name in ("a", "b"):
        options = ("--game", "CartPole-v1", "--max-steps", "6000", "--eval-episodes", "2", "--out", f"runs/{name}")
        run(sys.executable, "-P", "-m", "broodmind.deploy.cli", "up", *options, cwd=folder)
    return folder


def test_each_command_about_a_policy_works(folder):
    commands = [RUN.sub("runs/a", line) for line in commands_of("policy.md") if NEEDS_A_SERVER not in line]
    commands += [RUN.sub("runs/a", line) for line in commands_of("../README.md") if line.startswith(OF_README)]
    assert len(commands) >= 11
    for line in commands:
        run(sys.executable, "-P", "-m", "broodmind.deploy.cli", *shlex.split(line)[1:], cwd=folder)
    made = {"best.mp4", "curves.png", "policy.npz"}
    assert made <= {path.name for path in folder.iterdir()}
    assert list(folder.glob("CartPole-v1-*.gif"))


def test_the_lines_of_a_script_that_loads_a_policy_work(folder, monkeypatch):
    monkeypatch.chdir(folder)
    first, *_ = code_of("policy.md", "python")
    names = {"observation": np.zeros(4, np.float32)}
    exec(RUN.sub("runs/a", first), names)
    assert names["action"] in {0, 1}
    assert names["value"] == load("runs/a").value(np.zeros(4))


def test_the_script_that_trains_works(tmp_path):
    (script,) = code_of("python.md", "python")
    (tmp_path / "mine.py").write_text(script)
    path, mean, action = run(sys.executable, "mine.py", cwd=tmp_path).splitlines()[-1].split()
    assert path == "runs/mine"
    assert float(mean) > 20
    assert action in {"0", "1"}
