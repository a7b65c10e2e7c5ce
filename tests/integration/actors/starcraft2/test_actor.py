"""StarCraft II, from `broodmind actors` to the learner, against the stand-in of tests/support; and all that goes wrong.

The bot and burnysc2 are the real ones. What is not: the game. That its results mean anything about StarCraft II is
not what these tests are for.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.documents import documented, replaced
from support.runs import broodmind, hash_of, processes_of, running
from support.servers import PATIENCE_S, RealServer, free_port, wait_until
from support.standin import MAP, install

from broodmind.common.errors import SpecMismatch
from broodmind.common.server.keys import Keys

PLAYED = {"win", "loss", "tie"}
# Put in the way of the actor process alone: what a bug in a bot's own code would do.
BROKEN_BOT = """
import os, pathlib, sys
if "actor" in sys.orig_argv:
    from broodmind.actors.starcraft2.bot import ZergBot
    whole, where = getattr(ZergBot, os.environ["BOT_FAULT"]), pathlib.Path(os.environ["BOT_FAULT_ONCE"])
    async def broken(self, *arguments):
        if arguments[0:1] in ((), (50,)) and not where.exists():
            where.touch()
            return 1 / 0
        return await whole(self, *arguments)
    setattr(ZergBot, os.environ["BOT_FAULT"], broken)
"""


@pytest.fixture(scope="module")
def valkey():
    """Where the server plays no part in what is tested, one kind is enough."""
    server = RealServer("valkey")
    yield server
    server.close()


class Table:
    """A run with a learner, the stand-in, and what is seen of the actors."""

    def __init__(self, server, run, folder):
        self.server, self.run, self.keys = server, run, Keys(run)
        self.sc2 = install(folder / "StarCraftII")
        self.records_path = folder / "records"
        self.names = {"redis://10.0.0.5:6379": server.url, "zerg": run}  # for those in the document
        self.common = ("--redis", server.url, "--run", run, "--game", "starcraft2")
        self.redis = server.connect()
        self.temporary = Path(tempfile.mkdtemp(dir=folder))

    @contextmanager
    def actors(self, *arguments, **environment):
        """By the document's lines, with one slot and an easy opponent, unless the arguments say otherwise."""
        line = replaced(documented("docs/starcraft2.md", "broodmind actors"), self.names)
        line = replaced(line, {"AcropolisLE": MAP, "terran:hard": "zerg:veryeasy", "--actors 4": "--actors 1"})
        line = replaced(line, {"games.jsonl": str(self.records_path)})
        name, path = documented("docs/starcraft2.md", "export ").removeprefix("export ").split("=")
        path = replaced(path, {"~/StarCraftII": str(self.sc2)})
        settings = {**os.environ, name: path, "TMPDIR": str(self.temporary), **environment}
        with running(*line.split()[1:], "--name", "a", *arguments, env=settings) as process:
            yield process

    def records(self, at_least=1):
        def lines():
            text = self.records_path.read_text() if self.records_path.exists() else ""
            found = [json.loads(line) for line in text.splitlines()]
            return len(found) >= at_least and found

        return wait_until(lines)

    def counters(self):
        return {name: int(value) for name, value in hash_of(self.redis, self.keys.head).items() if value.isdigit()}

    def games(self):
        """The processes of the stand-in, as process ids."""
        return [int(line.split()[0]) for line in processes_of(f"-dataDir {self.sc2}")]

    def check_trained_on_what_was_played(self):
        """As many games as were won, lost or tied; nothing of those that were not."""

        def equal():  # where the actors go on, another game may end meanwhile
            return self.counters()["games"] == sum(line["outcome"] in PLAYED for line in self.records())

        wait_until(equal, lambda: f"{self.counters()} for {self.records()}")
        assert self.redis.call("XLEN", self.keys.trajectories("a-000")) == 0

    def check_nothing_is_left(self):
        wait_until(lambda: not self.games(), lambda: f"left: {self.games()}")
        wait_until(lambda: not list(self.temporary.iterdir()), lambda: f"left: {list(self.temporary.iterdir())}")


@contextmanager
def laid(server, run, folder, batch_steps=32):
    table = Table(server, run, folder)
    line = replaced(documented("docs/starcraft2.md", "broodmind learner"), table.names)
    replacements = {"--batch-steps 2048": f"--batch-steps {batch_steps}", "--max-staleness 16": "--max-staleness 100"}
    line = replaced(line, replacements)
    with running(*line.split()[1:]):
        wait_until(lambda: table.redis.call("EXISTS", table.keys.latest))
        yield table
    table.redis.close()


@pytest.fixture
def table(valkey, run, tmp_path):
    with laid(valkey, run, tmp_path) as table:
        yield table


@pytest.fixture
def either_table(shared_server, run, tmp_path):
    """On each kind of server."""
    with laid(shared_server, run, tmp_path) as table:
        yield table


def test_whole_games_are_played_recorded_and_trained_on(either_table):
    table = either_table
    with table.actors("--actors", "2"):
        table.records(4)
        wait_until(lambda: table.counters()["version"] > 3)
    lines = table.records(4)
    documents_own = json.loads(documented("docs/starcraft2.md", '{"id"'))
    assert all(line.keys() == documents_own.keys() for line in lines)
    assert {line["slot"] for line in lines} == {"a-000", "a-001"}
    for slot in ("a-000", "a-001"):
        *whole, last = (line for line in lines if line["slot"] == slot)
        for line in [*whole, last] if last["outcome"] in PLAYED else whole:
            assert line["outcome"] in PLAYED
            assert (line["map"], line["opponent"], line["exit_code"]) == (MAP, "zerg:veryeasy", 0)
            assert line["version"].startswith("1-")
        if last["outcome"] not in PLAYED:  # it was asked to stop, in its game or on its way there
            assert last["outcome"] in {"aborted", "drained"}
            assert last["reason"] in {"asked to stop", "", "did not drain within 10 s"}
    seeds = [line["seed"] for line in lines if line["seed"] is not None]
    assert len(set(seeds)) == len(seeds) >= 4
    table.check_trained_on_what_was_played()
    head = table.counters()
    assert head["steps"] >= 15 * head["games"]
    assert (head["invalid"], head["duplicate"], head["stale"]) == (0, 0, 0)
    assert float(hash_of(table.redis, table.keys.stats)["win_rate"]) == pytest.approx(
        sum(line["outcome"] == "win" for line in lines) / sum(line["outcome"] in PLAYED for line in lines)
    )
    table.check_nothing_is_left()


def test_the_batches_of_a_single_actor_are_as_large_as_was_asked_for(valkey, run, tmp_path):
    """Each game is a process of its own, and much shorter than a batch."""
    with laid(valkey, run, tmp_path, batch_steps=256) as table, table.actors():
        wait_until(lambda: table.counters()["version"] == 2)
        head = table.counters()
    assert head["games"] >= 4
    assert (head["updates"], head["short_batches"]) == (1, 0)
    # A batch counts a reset for each game: what a fragment has for one is not trained on.
    assert 256 - head["games"] <= head["steps"] <= 256 * 9 / 8 + head["steps"] / head["games"]


def test_a_game_whose_process_dies_is_recorded_as_crashed_and_restarted(either_table, tmp_path):
    with either_table.actors(SC2_FAULT="die:20", SC2_FAULT_ONCE=str(tmp_path / "once")):
        first, second = either_table.records(2)[:2]
        either_table.check_trained_on_what_was_played()
    assert (first["outcome"], first["exit_code"], first["signal"]) == ("crashed", 13, None)
    assert "StarCraft II ended in the middle of the game" in first["reason"]
    assert second["outcome"] in PLAYED
    either_table.check_nothing_is_left()


def test_a_game_that_hangs_is_killed_with_its_session_and_restarted(table, tmp_path):
    with table.actors("--no-progress-seconds", "20", SC2_FAULT="hang:20", SC2_FAULT_ONCE=str(tmp_path / "once")):
        (hung,) = wait_until(table.games)
        first, second = table.records(2)[:2]
        assert hung not in table.games()
        table.check_trained_on_what_was_played()
    assert (first["outcome"], first["reason"], first["signal"]) == ("stalled", "no progress for 20 s", "SIGKILL")
    assert (first["map"], first["version"]) == (MAP, "1-1")
    assert second["outcome"] in PLAYED
    table.check_nothing_is_left()


def test_a_game_that_never_starts_is_killed(table, tmp_path):
    with table.actors("--no-progress-seconds", "20", SC2_FAULT="deaf", SC2_FAULT_ONCE=str(tmp_path / "once")):
        first, second = table.records(2)[:2]
    assert (first["outcome"], second["outcome"] in PLAYED) == ("stalled", True)
    table.check_nothing_is_left()


def test_a_game_longer_than_the_limit_of_an_attempt_is_killed(table, tmp_path):
    with table.actors("--max-attempt-seconds", "6", SC2_FAULT="hang:20"):
        (line, *_) = table.records()
    assert (line["outcome"], line["reason"]) == ("overtime", "still running after 6 s")
    table.check_nothing_is_left()


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("on_step", "the bot raised ZeroDivisionError: division by zero"),
        ("on_start", "the bot failed before its first step, which burnysc2 reports as a defeat"),
    ],
)
def test_an_exception_in_the_bot_aborts_the_game_instead_of_losing_it(table, tmp_path, where, reason):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(BROKEN_BOT)
    fault = {"BOT_FAULT": where, "BOT_FAULT_ONCE": str(tmp_path / "once"), "PYTHONPATH": str(tmp_path / "broken")}
    with table.actors(**fault):
        first, second = table.records(2)[:2]
        table.check_trained_on_what_was_played()
    assert (first["outcome"], first["reason"], first["exit_code"]) == ("aborted", reason, 14)
    assert second["outcome"] in PLAYED
    table.check_nothing_is_left()


def test_an_exception_before_the_first_step_aborts_the_game_instead_of_losing_it(table, tmp_path):
    """A map without a place to build: it fails before `on_start`, is swallowed the same, and never reaches the bot."""
    with table.actors(SC2_FAULT="barren", SC2_FAULT_ONCE=str(tmp_path / "once")):
        first, second = table.records(2)[:2]
        table.check_trained_on_what_was_played()
    assert (first["outcome"], second["outcome"] in PLAYED) == ("aborted", True)


@pytest.mark.parametrize(("number", "outcome"), [(signal.SIGTERM, "aborted"), (signal.SIGKILL, "crashed")])
def test_a_bot_that_is_killed_leaves_no_game_behind(table, number, outcome):
    with table.actors(SC2_FAULT="hang:30" if number == signal.SIGKILL else ""):
        (game,) = wait_until(table.games)
        child = int(Path(f"/proc/{game}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(child, number)
        line = table.records()[0]
        wait_until(lambda: game not in table.games())
        wait_until(table.games)  # and the next one is on its way
    assert line["outcome"] == outcome
    table.check_nothing_is_left()


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def port_server(*ports):
    """What burnysc2 asks, if there is one, for a port to use; the last one is given out again and again."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX) as listener:
        address = f"{short}/ports"
        listener.bind(address)
        listener.listen()

        def serve():
            for port in itertools.chain(ports, itertools.repeat(ports[-1])):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1024)
                    connection.sendall(b"%d\n" % port)

        threading.Thread(target=serve, daemon=True).start()
        yield address


@pytest.mark.parametrize("holder", ["a silent program", "another game"])
def test_a_port_in_use_fails_one_attempt_only(table, tmp_path, holder):
    """burnysc2 itself would knock there for three minutes, or play in the other's game."""
    with contextlib.ExitStack() as stack:
        taken = free_port()
        if holder == "another game":
            (executable,) = install(tmp_path / "other").glob("Versions/*/SC2_x64")
            command = [executable, "-listen", "127.0.0.1", "-port", str(taken), "-tempDir", str(tmp_path)]
            stack.callback(stack.enter_context(subprocess.Popen(command)).kill)
            wait_until(lambda: answers(taken))
        else:
            stack.enter_context(socket.socket()).bind(("127.0.0.1", taken))
        address = stack.enter_context(port_server(taken, free_port()))
        with table.actors(PORTSERVER_ADDRESS=address):
            first, second = table.records(2)[:2]
            table.check_trained_on_what_was_played()
    assert first["outcome"] == "crashed"
    assert "another program may use its port" in first["reason"]
    assert second["outcome"] in PLAYED


def test_a_supervisor_that_is_killed_takes_hung_games_with_it(table):
    with table.actors("--actors", "1", SC2_FAULT="hang:5") as supervisor:
        wait_until(lambda: list(table.temporary.glob("*/SC2_*/hung")))
        supervisor.kill()
        supervisor.communicate()
    table.check_nothing_is_left()
    assert not processes_of(str(table.records_path))


# Plays one game in a process of its own, always by the same action, and tells what the bot told its episode.
ONE_GAME = """
import json, sys
from broodmind.actors.starcraft2.match import Match, play_match
from broodmind.actors.supervision.progress_pipe import ProgressPipe
from broodmind.common.process.shutdown import Stop
told, heartbeats = [], []
class Game:
    def act(self, observation, mask=None):
        told.append(["act", observation.tolist()])
        return int(sys.argv[1])
    def reward(self, amount):
        told.append(["reward", amount])
    def end(self, outcome, reward=0.0, observation=None):
        told.append(["reward", reward])
        told.append(["end", None if observation is None else observation.tolist()])
class Heartbeats(ProgressPipe):
    def heartbeat(self):
        heartbeats.append(1)
outcome = play_match(Match(sys.argv[2], "zerg:hard", int(sys.argv[3])), Game(), Stop(), Heartbeats())
print(json.dumps({"outcome": outcome, "told": told, "heartbeats": len(heartbeats)}))
"""


@pytest.fixture
def play(tmp_path):
    sc2 = install(tmp_path / "StarCraftII")

    def play(action, limit_s=1200):
        command = [sys.executable, "-c", ONE_GAME, str(action), MAP, str(limit_s)]
        environment = {**os.environ, "SC2PATH": str(sc2)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return play


def returns_of(game):
    return sum(value for what, value in game["told"] if what == "reward")


BEGAN = 0.3 * 12 / 200 + 0.2 * -35 / 36  # the potential of a start with 12 drones, and one enemy zergling in sight


def test_the_bots_actions_decide_whether_the_same_game_is_won(play):
    """Against the stand-in's hard opponent; else nothing could be learnt here."""
    defended, idled = play(2), play(3)
    assert (defended["outcome"], idled["outcome"]) == ("win", "loss")
    # 50 minerals, no vespene, supply 12 of 14, 12 workers: the first observation of every game.
    first = next(value for what, value in defended["told"] if what == "act")
    assert first[:5] == pytest.approx([0.025, 0.0, 0.06, 0.07, 0.12])
    assert returns_of(defended) == pytest.approx(1 - BEGAN, abs=1e-6)
    assert returns_of(idled) == pytest.approx(-1 - BEGAN, abs=1e-6)
    # It says that it gets on at every iteration, which are 22 to a decision.
    assert defended["heartbeats"] > 20 * sum(what == "act" for what, _ in defended["told"])


def test_a_reward_is_given_before_the_next_action_and_the_last_one_at_the_end(play):
    game = play(2, limit_s=60)
    order = [what for what, _ in game["told"]]
    decisions = order.count("act")
    assert order == ["reward", "act"] * decisions + ["reward", "end"]
    assert game["told"][0][1] == 0.0  # nothing was done yet
    times = [value[8] * 1000 for what, value in game["told"] if what == "act"]
    assert times == pytest.approx([22 * 4 / 22.4 * i for i in range(decisions)], abs=1e-3)


def test_a_game_at_its_time_limit_is_truncated_with_its_final_observation(play):
    game = play(2, limit_s=30)
    assert game["outcome"] == "truncated"
    assert game["told"][-1][1][8] == pytest.approx(0.03, abs=1e-3)
    assert abs(returns_of(game)) < 0.7  # no more than two potentials can differ by


def test_the_bot_of_the_documentation_plays_and_is_trained_on(table):
    example = documented("docs/starcraft2.md", "from broodmind import connect")
    example = replaced(example, {"AcropolisLE": MAP, **table.names})
    code = f"""
from sc2 import bot_ai, maps
from sc2.data import Difficulty, Race
from sc2.main import run_game
from sc2.player import Bot, Computer
class BotAI(bot_ai.BotAI):
    def earned_since_last_time(self):
        return 0.01
    def features(self):
        return [0.5] * 15
    def carry_out(self, action):
        assert action in range(5)
{example.replace("class MyBot", f"assert agent.wait_until_ready({PATIENCE_S})" + chr(10) + "class MyBot")}
"""
    environment = {**os.environ, "SC2PATH": str(table.sc2)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    wait_until(lambda: table.counters()["games"] == 1)


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ((), {}, "map: none with --game starcraft2, expected --map NAME"),
        (
            ("--map", MAP, "--records", "/nowhere/records"),
            {},
            "records: '/nowhere/records', expected a file that can be",
        ),
        (("--map", "Nowhere"), {}, "map: 'Nowhere', expected a file Nowhere.SC2Map in StarCraft II's Maps"),
        (("--map", MAP, "--opponent", "orc:easy"), {}, "opponent: 'orc:easy', expected terran|zerg"),
        (("--map", MAP), {"SC2PATH": "/nowhere"}, "SC2PATH: StarCraft II not found"),
    ],
)
def test_an_error_that_a_restart_cannot_repair_ends_the_actors_with_its_reason(table, arguments, environment, message):
    settings = {**os.environ, "SC2PATH": str(table.sc2), **environment}
    process = broodmind("actors", *table.common, *arguments, env=settings)
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3, shown
    assert message in shown


def test_a_run_of_another_game_ends_the_actors(valkey, run, tmp_path):
    server = ("--redis", valkey.url, "--run", run)
    with running("learner", *server, "--game", "CartPole-v1"):
        wait_until(lambda: hash_of(valkey.connect(), Keys(run).spec))
        environment = {**os.environ, "SC2PATH": str(install(tmp_path / "sc2"))}
        process = broodmind("actors", *server, "--game", "starcraft2", "--map", MAP, env=environment)
        _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == SpecMismatch.exit_code, shown
    assert "StarCraft2Zerg" in shown


def test_a_finished_game_waits_for_redis_to_come_back(table, tmp_path):
    """Redis hangs from before the game's end until after it."""
    process = table.server.process
    with table.actors():
        table.records(1)
        wait_until(table.games)
        process.send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: not table.games())  # the second game is over
            time.sleep(8)  # longer than an agent gives its games when it closes
            assert len(table.records(1)) == 1
        finally:
            process.send_signal(signal.SIGCONT)
        second = table.records(2)[1]
        assert second["outcome"] in PLAYED
        assert second["reason"] == ""
    table.check_trained_on_what_was_played()


def test_up_reports_that_it_cannot_play_starcraft2(tmp_path):
    process = broodmind("up", "--game", "starcraft2", cwd=tmp_path)
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    assert "game: 'starcraft2', expected a game that can be stepped" in shown
