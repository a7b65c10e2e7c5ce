"""The lines in README.md, docs/policy.md and deploy/README.md that start a server or name one, on such a server."""

from __future__ import annotations

import os
import shlex
import subprocess
from contextlib import ExitStack, contextmanager

import pytest
from support.documents import all_documented, documented, replaced
from support.learners import counters
from support.paths import ROOT
from support.runs import broodmind, last_json, running
from support.servers import PATIENCE_S, binary, free_port, wait_until

from broodmind.common.errors import BroodmindError
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import Server

STRICT, FAST = all_documented("deploy/README.md", "deploy/files/start-redis.sh")
ZERG, DEFAULT, AGAIN = Keys("zerg"), Keys("default"), Keys("again")
SMALL = ("--batch-steps", "256")
OFTEN = ("--eval-cpu", "1", "--eval-every", "500", "--choosing-episodes", "2")


def answers(connection):
    try:
        return connection.call("PING") == b"PONG"
    except BroodmindError:
        return False


@contextmanager
def started(line, data):
    """Redis, by a line that starts it, on a port of its own: the port and a connection."""
    port = free_port()
    command = [*shlex.split(replaced(line, {"/var/lib/broodmind": str(data)})), "--port", str(port)]
    environment = {**os.environ, "REDIS_SERVER": binary("redis")}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    connection = Server(f"redis://127.0.0.1:{port}")
    try:
        wait_until(lambda: process.poll() is not None or answers(connection))
        assert process.poll() is None
        yield port, connection
    finally:
        connection.close()
        process.terminate()
        process.wait(PATIENCE_S)


def test_the_lines_that_start_redis_choose_its_durability(tmp_path):
    for line, expected in ((STRICT, b"always"), (FAST, b"everysec")):
        with started(line, tmp_path) as (_, connection):
            assert connection.call("CONFIG", "GET", "appendfsync")[1] == expected


@pytest.fixture
def redis(tmp_path):
    (tmp_path / "data").mkdir()
    with started(STRICT, tmp_path / "data") as server:
        yield server


def test_two_runs_are_started_watched_evaluated_exported_and_trained_on_again(redis, tmp_path):
    """One by the README's lines, one by those of deploy/README.md."""
    port, connection = redis
    names = {"redis://10.0.0.5:6379": f"redis://127.0.0.1:{port}"}
    local = {"redis://127.0.0.1:6379": f"redis://127.0.0.1:{port}"}

    def ended(line):
        process = broodmind(*shlex.split(replaced(line, names))[1:], cwd=tmp_path)
        printed, shown = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, shown
        return printed

    with ExitStack() as processes:
        for line, options in (
            (replaced(documented("README.md", "broodmind learner"), names), (*SMALL, "--archive", "archive")),
            (replaced(documented("README.md", "broodmind actors"), {**names, "--actors 8": "--actors 1"}), ()),
            (replaced(documented("docs/policy.md", "broodmind evaluator"), names), OFTEN),
            (replaced(documented("deploy/README.md", "broodmind learner"), local), SMALL),
            (replaced(documented("deploy/README.md", "broodmind actors"), {**local, "--actors 2": "--actors 1"}), ()),
        ):
            processes.enter_context(running(*shlex.split(line)[1:], *options, cwd=tmp_path))
        for keys in (ZERG, DEFAULT):
            wait_until(lambda keys=keys: counters(connection, keys).get("version", 0) > 2)
        assert ended(documented("README.md", "broodmind status")).startswith("run zerg ")
        ended(documented("docs/policy.md", "broodmind export --run"))
        watch(port, connection)
        wait_until((tmp_path / "runs" / "zerg" / "evaluations.jsonl").exists)
    assert (tmp_path / "policy.npz").exists()
    assert list((tmp_path / "checkpoints").iterdir())
    server = ("--redis", f"redis://127.0.0.1:{port}")
    learner = replaced(documented("docs/migrating.md", "broodmind learner --run again"), {" ...": ""})
    with running(*shlex.split(learner)[1:], *server, cwd=tmp_path):
        wait_until(lambda: connection.call("EXISTS", AGAIN.latest))
        importing = documented("docs/migrating.md", "broodmind import archive")
        process = broodmind(*shlex.split(importing)[1:], *server, "--json", cwd=tmp_path)
        printed, shown = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, shown
        wait_until(lambda: counters(connection, AGAIN)["imported"] == last_json(printed)["entries"])


def watch(port, connection):
    """Every documented command of Redis's own client shows something of the run."""
    actor = connection.call("HKEYS", DEFAULT.roster)[0].decode()
    lines = [line.replace("alice-000", actor) for line in all_documented("README.md", "redis-cli")]
    lines += [line.replace("vm-8989-001", actor) for line in all_documented("deploy/README.md", "redis-cli")]
    for line in lines:
        command = line.replace(" -p 6390", "").replace("redis-cli", f"redis-cli -e -p {port}")
        output = wait_until(lambda command=command: shell(command), lambda command=command: command)
        if line.endswith(":head' | paste - -"):
            shown = (ROOT / "deploy" / "README.md").read_text().partition(":head' | paste - -\n")[2].partition("```")[0]
            assert names_in(output) == names_in(shown)
    assert "stranger" in output
    assert actor in shell(replaced(documented("deploy/README.md", "deploy/files/lag.sh"), {"6390": str(port)}))


def names_in(fields):
    return [line.split("\t")[0] for line in fields.strip().splitlines()]


def shell(line):
    return subprocess.check_output(["sh", "-c", line], cwd=ROOT, text=True, timeout=PATIENCE_S).strip()
