"""`broodmind up`, whole, in processes of its own; and what is left of it afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import ANY

import pytest
from support.documents import documented
from support.event_files import scalars
from support.learners import counters
from support.paths import ROOT
from support.runs import broodmind, last_json, processes_of
from support.servers import PATIENCE_S, wait_until

from broodmind import load
from broodmind.common.errors import ConfigError
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import Server
from broodmind.deploy.records.run_folder import RunFolder, read_lines, read_object

SMALL = ("--actors", "2", "--envs", "8", "--eval-episodes", "10")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for temporary files, so that what is left behind is seen; short, for sockets live in it."""
    with tempfile.TemporaryDirectory(prefix="up-") as short:
        monkeypatch.setenv("TMPDIR", short)
        yield tmp_path


def check_nothing_is_left(out):
    """No process of the run, no socket, no temporary file."""
    temporary = Path(os.environ["TMPDIR"])
    for marker in (str(out), str(temporary)):
        wait_until(lambda m=marker: not processes_of(m), lambda m=marker: f"processes left: {processes_of(m)}")
    wait_until(lambda: not list(temporary.iterdir()), lambda: f"files left: {list(temporary.iterdir())}")


def test_up_learns_and_leaves_nothing_but_its_folder(folder):
    """By the README's line, whose JSON object another program reads a field of."""
    out = folder / "out"
    command, _, field = documented("README.md", "broodmind up --json").partition(" | jq .")
    process = broodmind(*command.split()[1:], *SMALL, "--max-steps", "20000", "--out", str(out))
    printed, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, shown
    summary = last_json(printed)
    assert printed.count("\n") == 1
    assert {"solved", "seconds", "env_steps", "steps_per_second", "games", "version", "rejected"} <= summary.keys()
    assert summary["env_steps"] >= 20000
    assert summary[field].keys() == {"mean", "std", "ci95", "length_mean", "episodes", "wins"}
    assert summary["evaluation"]["episodes"] == 10
    greedy, sampled, cost = (summary[name] for name in ("evaluation", "evaluation_sampled", "exploration_cost"))
    assert sampled["episodes"] == 10
    assert cost["mean"] == pytest.approx(greedy["mean"] - sampled["mean"], abs=2e-3)
    assert cost["ci95"][0] <= cost["mean"] <= cost["ci95"][1]
    assert f"training, the last 100 games: mean return {summary['return_mean']:g}" in shown
    assert f"mean return {sampled['mean']} over 10 games; exploration costs {cost['mean']}" in shown
    last = {"epoch": summary["epoch"], "version": summary["version"]}
    assert summary["evaluation_best"] == {**summary["evaluation"], **last}  # there was no time to evaluate another
    (line,) = read_lines(out / "evaluations.jsonl")
    assert line.items() >= {**last, "steps": summary["env_steps"], "episodes": 30}.items()
    assert load(out).version == summary["version"]
    assert summary["peak_memory_mb"] > 50
    # An actor that the machine leaves waiting is rightly told that its play is stale.
    assert not any(count for reason, count in summary["rejected"].items() if reason != "stale")
    assert summary["dropped"] == {
        {"off_run": "foreign"}.get(name, name): count for name, count in summary["rejected"].items()
    }
    assert {
        "run": "default",
        "game": "TinyZerg",
        "game_args": {},
        "seed": 1,
        "algorithm": "ppo",
    }.items() <= summary.items()
    assert summary["settings"] == {"envs": 8, "eval_episodes": 10, "max_steps": 20000}
    assert summary["folder"] == str(out)
    assert (out / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert list((out / "checkpoints").glob("checkpoint-*.msgpack"))
    assert read_object(out / "summary.json") == summary
    assert "run default created" in shown
    assert f"tensorboard --logdir {out}" in shown
    check_nothing_is_left(out)


def test_make_up_starts_it(folder):
    """As by the README's line, from an environment that is there already."""
    options = f"--max-steps 2000 --actors 1 --eval-episodes 1 --out {folder}/out"
    environment = ("-o", f"{sys.prefix}/.up", f"VENV={sys.prefix}")
    command = [*documented("README.md", "make up").split(), *environment, f"UP_ARGS={options}"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert made.returncode == 0, made.stderr
    assert read_object(folder / "out" / "summary.json")["env_steps"] >= 2000


def test_up_resumes_from_the_checkpoints_in_its_folder(folder):
    out = folder / "out"
    for steps in ("4000", "8000"):
        process = broodmind("up", *SMALL, "--max-steps", steps, "--json", "--out", str(out))
        printed, shown = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, shown
        summary = last_json(printed)
    before = summary["resumed_steps"]
    assert 4000 <= before < 8000 <= summary["env_steps"] < 12000
    assert f"({before:,} of them before this start)" in shown
    assert f"run default resumed after {before:,} steps" in shown
    folder_of_run = RunFolder(out)
    lines = read_lines(folder_of_run.metrics)
    for name in ("steps", "version", "seconds", "time"):
        values = [line[name] for line in lines]
        assert values == sorted(values)
    assert lines[-1]["steps"] == summary["env_steps"]
    assert sum(line["steps"] <= before for line in lines) == len([line for line in lines if line["epoch"] == 1]) > 2
    assert [start["resumed_steps"] for start in read_object(folder_of_run.about)["starts"]] == [0, before]
    points = scalars(folder_of_run.tensorboard)
    assert [step for step, _, _ in points["train/n_updates"]] == [line["steps"] for line in lines]
    assert [step for step, _, _ in points["rollout/ep_rew_mean"]][-1] == summary["env_steps"]
    trained = summary["env_steps"] - before
    assert summary["steps_per_second"] == pytest.approx(trained / summary["seconds"], rel=0.01)


def test_a_run_that_has_a_learner_is_left_to_it(folder, shared_server, redis, run):
    redis.call("SET", Keys(run).lease, "1-aa")
    out = folder / "out"
    process = broodmind("up", *SMALL, "--redis", shared_server.url, "--run", run, "--out", str(out))
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == ConfigError.exit_code, shown
    assert f"run: '{run}' already has a learner" in shown
    check_nothing_is_left(out)


REFUSED = {
    "in use": ("--run", "{run}", "--redis", "{url}"),
    "no server": ("--redis", "redis://127.0.0.1:1"),
    "password": ("--redis", "redis://:wrong@127.0.0.1:{port}"),
    "setting": ("--run", "{run}", "--batch-steps", "0"),
    "module": ("--run", "{run}", "--game", "no_such_module:make"),
    "game": ("--run", "{run}", "--game", "NoSuch-v0"),
}


@pytest.mark.parametrize("command", ["up", "learner"])
@pytest.mark.parametrize("options", REFUSED.values(), ids=list(REFUSED))
def test_a_start_that_is_refused_leaves_no_folder(folder, shared_server, redis, run, command, options, monkeypatch):
    monkeypatch.chdir(folder)
    redis.call("SET", Keys(run).lease, "1-aa")
    port = shared_server.url.rpartition(":")[2]
    filled = [each.format(run=run, url=shared_server.url, port=port) for each in options]
    if command == "learner":
        filled += ["--out", "runs/here", *(() if "--redis" in filled else ("--redis", shared_server.url))]
    process = broodmind(command, *filled)
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode not in {0, 1}, shown
    assert not list(folder.iterdir()), shown
    check_nothing_is_left(folder)


def test_the_error_of_a_refused_start_is_in_a_folder_that_was_named(folder):
    process = broodmind("up", "--redis", "redis://127.0.0.1:1", "--out", str(folder / "out"))
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert read_object(folder / "out" / "summary.json") == {"error": ANY, "exit_code": process.returncode}, shown


@pytest.fixture
def start(folder):
    """Starts an endless `up`, and waits until it plays."""
    started = []

    def start(out, *arguments):
        process = broodmind("up", *SMALL, "--out", str(out), *arguments)
        started.append(process)
        wait_until((out / "actor-001.log").exists)
        wait_until(lambda: "playing" in (out / "actor-001.log").read_text())
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def pid_of(marker):
    """The process of this test's run whose command line has `marker`; of a guard's several, the first."""
    lines = [line for line in processes_of(os.environ["TMPDIR"]) if marker in line]
    pids = [int(line.partition(" ")[0]) for line in lines]
    (pid,) = pids if len(pids) == 1 else [pid for pid in pids if os.getsid(pid) == pid]
    return pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_evaluates(folder, start, number):
    out = folder / "out"
    process = start(out)
    process.send_signal(number)
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, shown
    assert "greedy evaluation" in shown
    check_nothing_is_left(out)


def test_up_killed_takes_everything_with_it(folder, start):
    out = folder / "out"
    process = start(out)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    check_nothing_is_left(out)


def test_up_and_its_guard_process_killed_together_leave_no_files(folder, start):
    """The guard's watcher is left to clean up."""
    out = folder / "out"
    process, guard = start(out), pid_of("broodmind-guard")
    os.kill(guard, signal.SIGKILL)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    check_nothing_is_left(out)


def test_up_and_all_guard_processes_killed_together_leave_no_process(folder, start):
    """There is nobody left to remove the folder, but the kernel ends the server with the guard."""
    out = folder / "out"
    process = start(out)
    guards = [int(line.partition(" ")[0]) for line in processes_of(os.environ["TMPDIR"]) if "broodmind-guard" in line]
    assert len(guards) > 1
    for pid in (*guards, process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    wait_until(lambda: not processes_of(os.environ["TMPDIR"]), lambda: str(processes_of(os.environ["TMPDIR"])))


@pytest.mark.parametrize("part", ["valkey-server unixsocket:", "broodmind-guard"])
def test_a_killed_server_ends_up_with_a_clear_error(folder, start, part):
    out = folder / "out"
    process = start(out, "--json")
    os.kill(pid_of(part), signal.SIGKILL)
    printed, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 11
    assert "embedded server: ended with code" in shown
    ended = json.loads(printed)
    assert ended.keys() == {"error", "exit_code"}
    assert (ended["error"] in shown, ended["exit_code"]) == (True, 11)
    check_nothing_is_left(out)


@pytest.mark.parametrize(
    ("part", "log", "at_work"),
    [(" learner ", "learner.log", "resumed"), ("--inherit local-001", "actor-001.log", "playing")],
)
def test_a_killed_learner_or_actor_is_restarted(folder, start, part, log, at_work):
    out, keys = folder / "out", Keys("default")
    process = start(out, "--json")
    before = (out / log).read_text().count(at_work)
    os.kill(pid_of(part), signal.SIGKILL)
    wait_until(lambda: (out / log).read_text().count(at_work) > before)
    (socket,) = Path(os.environ["TMPDIR"]).glob("*/valkey.sock")
    redis = Server(f"unix://{socket}")
    version = counters(redis, keys)["version"]
    wait_until(lambda: counters(redis, keys)["version"] > version + 3)  # it goes on
    redis.close()
    process.send_signal(signal.SIGTERM)
    printed, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, shown
    assert last_json(printed)["version"] > version + 3
    check_nothing_is_left(out)


def test_reaching_a_limit_before_the_goal_has_its_own_exit_code(folder):
    process = broodmind(
        "up", *SMALL, "--until-return", "99", "--max-steps", "2000", "--json", "--out", str(folder / "out")
    )
    printed, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 10
    assert last_json(printed)["solved"] is False


def test_up_uses_an_existing_server(folder, shared_server, redis, run):
    out = folder / "out"
    arguments = ("--redis", shared_server.url, "--run", run, "--max-steps", "4000", "--json")
    process = broodmind("up", *SMALL, *arguments, "--out", str(out))
    printed, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, shown
    assert int(redis.call("HGET", Keys(run).head, "steps")) == last_json(printed)["env_steps"]
    assert redis.call("EXISTS", Keys(run).lease) == 0
    check_nothing_is_left(out)
