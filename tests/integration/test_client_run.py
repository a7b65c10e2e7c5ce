"""A bot that owns its loop, by the README's lines, from an empty folder with nothing in PYTHONPATH."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.documents import documented
from support.runs import hash_of, last_json, stopped
from support.servers import PATIENCE_S, wait_until

from broodmind import BroodmindError, load
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import Server
from broodmind.deploy.local.embedded_server import KEPT_DATA, EmbeddedServer
from broodmind.deploy.local.kept_data import continue_from_kept, keep
from broodmind.deploy.records.run_folder import RunFolder, read_lines

COMMANDS = Path(sys.executable).parent  # as installed: their own folder is where Python looks first
UP = documented("README.md", "broodmind up --client")
BOT = documented("README.md", "python bot.py")
HEAD = Keys("corridor").head
SMALL = ("--batch-steps", "500")
MORE = 15_000  # steps: one game of ten is greedy, and 20 of these are wanted even if each takes 30 steps


@pytest.fixture
def folder(tmp_path):
    """The user's folder, with the bot of the README."""
    (tmp_path / "bot.py").write_text(documented("README.md", "import random"))
    return tmp_path


@pytest.fixture
def start(folder, monkeypatch):
    """Starts a documented line, with further options, in the user's folder."""
    started = []
    with tempfile.TemporaryDirectory(prefix="cl-") as short:  # for sockets
        monkeypatch.setenv("TMPDIR", short)
        monkeypatch.setattr("tempfile.tempdir", short)
        environment = {
            name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "BROODMIND_REDIS"}
        }

        def start(line, *more):
            program, *arguments = shlex.split(line)
            process = subprocess.Popen(
                [str(COMMANDS / program), *arguments, *more],
                cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                # As in a terminal: a shell lets what it starts in the background ignore Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no other threads
            )  # fmt: skip
            started.append(process)
            return process

        yield start
        for process in started:
            process.kill()
            process.communicate()


@pytest.fixture
def redis(start):
    """A connection to the embedded server, which need not run yet."""
    server = Server(f"unix://{tempfile.gettempdir()}/broodmind-{os.getuid()}/corridor.sock")
    yield server
    server.close()


def trained(redis, more_than):
    """Wait until the run has trained on more steps than that. Returns how many."""

    def look():
        try:
            steps = int(hash_of(redis, HEAD).get("steps", 0))
        except Exception:  # noqa: BLE001 - the server starts, or starts again
            return 0
        return steps if steps > more_than else 0

    return wait_until(look)


def ended(process, *, code=0):
    """Wait for a command. Returns what it printed and what it showed."""
    printed, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, shown
    return printed, shown


def player(folder):
    """Play a game by the documented line of a bot that only plays. Returns what it says of the version."""
    code = f"""
from broodmind import connect
{documented("README.md", "agent = connect(run")}
with agent:
    assert agent.wait_until_ready({PATIENCE_S}), agent.status
    with agent.episode() as game:
        game.act([0.0, 1.0])
        game.end("win")
    print(game.version)
"""
    command = [sys.executable, "-c", code]
    return int(subprocess.check_output(command, cwd=folder, text=True, timeout=2 * PATIENCE_S))


def test_bots_come_and_go_and_the_run_is_stopped_and_continued(folder, start, redis):
    early = start(BOT)  # before there is anything to connect to
    up = start(UP, *SMALL)
    first = trained(redis, 0)
    doomed = start(BOT)
    wait_until(lambda: redis.call("HLEN", Keys("corridor").roster) == 2)
    doomed.kill()
    late = start(BOT)
    trained(redis, first)
    record = RunFolder(folder / "runs" / "corridor")
    wait_until(record.about_best.exists)
    up.send_signal(signal.SIGINT)
    _, shown = ended(up, code=130)
    assert f'connect("unix://{tempfile.gettempdir()}/broodmind-{os.getuid()}/corridor.sock", run="corridor")' in shown
    before = int(re.search(r": ([\d,]+) steps", shown)[1].replace(",", ""))
    assert before > first
    evaluated = read_lines(record.evaluations)

    # The bots are still there. They stand still until the one that only plays has played, or the run might be over.
    with stopped(early), stopped(late):
        up = start(UP, *SMALL, "--max-steps", str(before + MORE), "--json")
        best = player(folder)  # which the new server has from the record
    printed, shown = ended(up)
    summary = last_json(printed)
    assert summary["env_steps"] >= before + MORE
    assert summary["resumed_steps"] == before
    assert f"({before:,} of them before this start)" in shown
    # What bots send again after the stop, as they cannot know that it was consumed, is recognised.
    # What they dropped meanwhile, as their queues were full, is counted as lost.
    assert not any(summary["rejected"][name] for name in ("invalid", "wrong_epoch", "non_finite", "poison"))
    # Greedy games have chosen a best version; it is kept, and its evaluation is by others.
    assert best in {line["version"] for line in read_lines(record.evaluations)}
    assert read_lines(record.evaluations)[: len(evaluated)] == evaluated
    assert summary["evaluation"]["episodes"] >= 20
    assert summary["evaluation_best"] is None or summary["evaluation_best"]["chosen_by"]["episodes"] == 20
    assert summary["evaluation_games"] >= 20
    assert summary["by_label"]["map"]["corridor"]["games"] > 0
    assert "greedy games of the last version" in shown
    policy = load(record.path)  # the best one
    assert policy.act([0.0, 1.0]) in {0, 1, 2}
    assert [bot.poll() for bot in (early, late)] == [None, None]  # they play on without a server
    for bot in (early, late):
        bot.send_signal(signal.SIGINT)
    for bot in (early, late):  # each tries for some seconds to send what is left
        bot.communicate(timeout=PATIENCE_S)


def test_games_that_redis_has_when_the_run_is_stopped_are_trained_on_when_it_goes_on(folder, start, redis):
    """Their bot has ended, and nobody else has them."""
    bot = """
from bot import SPEC
from broodmind import connect
with connect(run="corridor", game=SPEC) as agent:
    assert agent.wait_until_ready(60), agent.status
    for _ in range(30):
        with agent.episode() as game:
            for _ in range(4):
                game.act([0.0, 1.0])
            game.end("win")
        assert agent.flush(60), agent.status
"""
    options = ("--eval-share", "0", "--batch-wait", "600")
    up = start(UP, *options, "--batch-steps", "10000")
    subprocess.run([sys.executable, "-c", bot], cwd=folder, timeout=2 * PATIENCE_S, check=True)
    for command in ("status --run corridor", "verify --run corridor"):  # which find the server by the run's name
        subprocess.run([COMMANDS / "broodmind", *shlex.split(command)], timeout=PATIENCE_S, check=True)
    up.send_signal(signal.SIGINT)
    ended(up, code=130)
    # Its own configuration starts it again.
    up = start(UP, "--config", "runs/corridor/config.toml", *options, "--batch-steps", "100")

    def games():
        try:
            return hash_of(redis, HEAD).get("games")
        except BroodmindError:  # the server starts
            return None

    wait_until(lambda: games() == "30", games)
    head = hash_of(redis, HEAD)
    assert (head["epoch"], head["wrong_epoch"], head["lost"], head["duplicate"]) == ("1", "0", "0", "0")
    kept = folder / "runs" / "corridor" / KEPT_DATA
    wait_until(lambda: not kept.exists(), lambda: kept)  # it would be out of date after a crash
    up.send_signal(signal.SIGINT)
    ended(up, code=130)


def test_a_second_start_of_a_run_that_no_bot_has_played_yet_is_no_new_run(start):
    for line in ("created", "resumed at version 1, before anything was trained"):
        _, shown = ended(start(UP, *SMALL, "--max-seconds", "1"))
        assert re.search(rf"^run \S+ {line}$", shown, re.MULTILINE), shown


def test_a_start_without_a_bot_says_what_was_trained_before_and_how_long_it_ran(start, redis):
    bot, up = start(BOT), start(UP, *SMALL)
    trained(redis, 1000)
    bot.kill()
    bot.communicate()
    up.send_signal(signal.SIGINT)
    ended(up, code=130)
    printed, shown = ended(start(UP, *SMALL, "--max-seconds", "1", "--json"))
    summary = last_json(printed)
    assert summary["resumed_steps"] == summary["env_steps"] > 1000
    assert summary["steps_per_second"] == 0
    assert 1 <= summary["seconds"] < PATIENCE_S
    assert f"resumed after {summary['env_steps']:,} steps" in shown
    assert f"ended after {summary['seconds']} s" in shown


def test_data_that_was_kept_is_not_used_if_the_run_was_trained_elsewhere_since(tmp_path, caplog):
    keys, checkpoints = Keys("corridor"), tmp_path / "checkpoints"
    with EmbeddedServer(data=tmp_path) as embedded:
        embedded.wait_until_up()
        server = Server(embedded.url)
        server.call("HSET", keys.head, "epoch", 1, "version", 7)
        server.close()
        keep(embedded, keys)
    checkpoints.mkdir()
    for version, used in ((7, True), (8, False)):
        (checkpoints / f"checkpoint-0001-{version:09}.msgpack").touch()
        data = (tmp_path / KEPT_DATA).read_bytes()
        with EmbeddedServer(data=tmp_path) as embedded:
            continue_from_kept(embedded, keys, checkpoints)
            server = Server(embedded.url)
            assert (server.call("EXISTS", keys.head) == 1) is used
            server.close()
        (tmp_path / KEPT_DATA).write_bytes(data)  # it was removed
    assert [record.getMessage() for record in caplog.records if "older than the newest checkpoint" in record.message]


def test_the_game_is_offered_by_the_bot_where_none_was_given(folder, start, redis):
    bot = start(BOT)
    up = subprocess.run(
        [COMMANDS / "broodmind", *shlex.split("up --client --run corridor --max-steps 2000 --json --out out")],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert up.returncode == 0, up.stderr
    assert json.loads(up.stdout)["env_steps"] >= 2000
    assert bot.poll() is None
