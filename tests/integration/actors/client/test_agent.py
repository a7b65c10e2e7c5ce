"""The client against real servers that hang, die and come back, while its games play on."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from support.clients import GAME, SPEC, arrived, play, play_through, publish
from support.documents import documented
from support.faulty_server import FaultyServer
from support.runs import hash_of, make_header, running
from support.servers import KINDS, PATIENCE_S, RealServer, free_port, wait_until

from broodmind import Limits, connect
from broodmind.actors.client.sender_thread import SenderThread
from broodmind.actors.client.spool import Spool
from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.actors.transport.delivery import Delivery
from broodmind.actors.transport.stream_connection import ActorConnection
from broodmind.common.errors import ConfigError
from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import NotNow, ServerFull
from broodmind.common.spec import NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.entry_header import parse_entry
from broodmind.common.wire.trajectory import decode_trajectory
from broodmind.common.wire.weights import Pointer
from broodmind.deploy.audit.verify import verify
from broodmind.learner.config import IntakeConfig, LearnerConfig, LeaseConfig
from broodmind.learner.loop import learn

# Batches that hold all the games of a test, so that none is given up, and go short soon.
ALL_WELCOME = IntakeConfig(batch_steps=1 << 16, batch_wait=0.2, max_staleness=1000)
DURABLE = {"appendonly": "yes", "appendfsync": "always"}


@contextmanager
def connected(url, run, **options):
    """An agent with a policy, closed at the end."""
    with connect(url, run, **options) as agent:
        assert agent.wait_until_ready(PATIENCE_S), agent.status
        yield agent


@pytest.fixture(params=KINDS)
def server(request):
    """One that may be stopped and killed, and keeps what it acknowledged."""
    server = RealServer(request.param, **DURABLE)
    yield server
    server.process.send_signal(signal.SIGCONT)
    server.close()


@contextmanager
def learning(url, run, spec, config):
    stop, patient = Stop(), replace(config, lease=LeaseConfig(lease_ttl=60))  # a lease that no busy machine loses
    thread = threading.Thread(target=learn, args=(url, run, spec, patient, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.request()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def play_together(agent, games):
    """Games that all begin before the first one ends, so that none is given up; each in an entry of its own."""
    begun = [agent.episode(number=number) for number in range(games)]
    for number, game in enumerate(begun):
        play_through(game, number)
        wait_until(lambda ended=number + 1: agent.status.queued + agent.status.sent == ended, lambda: agent.status)


def play_on(agent, games, first=0):
    """Games in a thread of their own, as a watchdog must be able to look at one that stalls."""
    done = []

    def work():
        for number in range(first, first + games):
            play(agent, number)
            done.append(number)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert len(done) == games, f"stalled after {len(done)} of {games} games"


# Playing and learning.


@pytest.mark.parametrize("rollout", [RolloutSpec("steps", 16), RolloutSpec("games", 200)])
def test_the_games_of_a_bot_are_learnt_from(shared_server, redis, run, rollout, tmp_path):
    spec = RunSpec(TinyZerg.spec, NetworkSpec(hidden=(8,)), rollout)
    config = LearnerConfig(intake=ALL_WELCOME)
    versions = []
    with (
        learning(shared_server.url, run, spec, config),
        connected(shared_server.url, run, game=TinyZerg.spec, journal=tmp_path) as agent,
    ):
        game = TinyZerg(1)
        step = game.reset(1)
        for _ in range(40):
            with agent.episode() as episode:
                versions.append(episode.version)
                while not episode.over:
                    step = game.step(np.array([episode.act(step.observations[0])]))
                    episode.reward(step.rewards[0])
                    if step.terminated[0] or step.truncated[0]:
                        outcome = "truncated" if step.truncated[0] else "win" if step.wins[0] else "loss"
                        episode.end(outcome, observation=step.observations[0])
            step = game.step(np.array([0]))
            if len(versions) == 20:
                assert agent.flush(PATIENCE_S)
                wait_until(lambda: agent.status.version > versions[0])
        assert agent.flush(PATIENCE_S)
        status = agent.status
        assert (status.sent, status.queued, status.overflow, status.lost, status.aborted) == (40, 0, 0, 0, 0)
        assert status.wins + status.losses + status.truncated == 40
        wait_until(lambda: hash_of(redis, Keys(run).head)["games"] == "40")
    head = hash_of(redis, Keys(run).head)
    assert [head[name] for name in ("games", "invalid", "stale", "overflow", "lost", "duplicate")] == ["40", *"00000"]
    assert versions == sorted(versions)
    assert versions[-1] > versions[0]
    assert not redis.call("EXISTS", Keys(run).heartbeat(agent.actor))
    verdict = verify(shared_server.url, run, tmp_path)
    assert not verdict.violations
    assert verdict.metrics["acknowledged"] == int(head["accepted"]) <= 40


def test_an_episode_keeps_its_version_and_the_next_one_has_the_newest(shared_server, redis, run):
    publish(redis, run)
    with connected(shared_server.url, run) as agent:
        first = agent.episode()
        first.act([1, 0, 0])
        publish(redis, run, version=2)
        wait_until(lambda: agent.status.version == 2)
        first.act([1, 1, 0])
        second = agent.episode()
        assert (first.version, second.version) == (1, 2)
        first.end("win")
        second.act([2, 0, 0])
        second.end("win")
        assert agent.flush(PATIENCE_S)
        entries = redis.call("XRANGE", Keys(run).trajectories(agent.actor), "-", "+")
        assert [parse_entry(fields)[0].versions for _, fields in entries] == [(1, 1), (2, 2)]


def test_a_game_takes_up_a_newer_version_where_its_author_allows_it(shared_server, redis, run):
    publish(redis, run)
    with connected(shared_server.url, run, update_policy="step") as agent:
        with agent.episode() as game:
            game.act([1, 0, 0])
            publish(redis, run, version=2)
            wait_until(lambda: agent.status.version == 2)
            game.act([1, 1, 0])
            assert game.version == 2
            game.end("win")
        assert agent.flush(PATIENCE_S)
        (entry,) = redis.call("XRANGE", Keys(run).trajectories(agent.actor), "-", "+")
        header, payload = parse_entry(entry[1])
        offsets = decode_trajectory(payload, header, agent.actor, SPEC).version_offsets
        assert (header.versions, header.games) == ((1, 2), 1)
        assert offsets is not None
        assert offsets[:, 0].tolist() == [0, 1]


def test_a_version_whose_weights_are_gone_is_passed_over_for_the_next_one(shared_server, redis, run, caplog):
    publish(redis, run)
    with caplog.at_level(logging.INFO, "broodmind"), connected(shared_server.url, run) as agent:
        redis.call("SET", Keys(run).latest, Pointer(1, 2, "", "digest", 10).to_json())
        wait_until(lambda: "weights not usable" in caplog.text)
        assert (agent.status.version, agent.status.connection, agent.status.problem) == (1, "connected", "")
        assert play(agent, 1).version == 1
        publish(redis, run, version=3)
        wait_until(lambda: agent.status.version == 3)


def test_several_games_at_once_from_threads(shared_server, redis, run):
    publish(redis, run)
    with connected(shared_server.url, run) as agent:
        threads = [threading.Thread(target=play_on, args=(agent, 8, 10 * k), daemon=True) for k in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert agent.flush(PATIENCE_S)
        assert sorted(arrived(redis, run, agent.actor)) == sorted(10 * k + n for k in range(5) for n in range(8))
        assert agent.status.playing == 0


def test_several_games_at_once_in_one_event_loop(shared_server, redis, run):
    publish(redis, run)

    async def bot(agent, number):
        game = agent.episode(number=number)
        for step in range(4):
            game.act([number, step, 0])
            await asyncio.sleep(0)
        game.end("loss")

    async def bots(agent):
        await asyncio.gather(*(bot(agent, number) for number in range(10)))

    with connected(shared_server.url, run) as agent:
        asyncio.run(bots(agent))
        assert agent.flush(PATIENCE_S)
        assert sorted(arrived(redis, run, agent.actor)) == list(range(10))


def test_a_crashed_game_is_recorded_and_never_arrives(shared_server, redis, run, tmp_path):
    publish(redis, run)
    with connected(shared_server.url, run, records=tmp_path / "records.jsonl") as agent:

        def crash():
            with agent.episode(map="Ladder", opponent="Terran") as game:
                game.act([1, 0, 0])
                raise OSError("SC2 died")

        with pytest.raises(OSError, match="SC2 died"):
            crash()
        play(agent, 2)
        forgotten = agent.episode()
        forgotten.act([3, 0, 0])
        assert agent.flush(PATIENCE_S)
        assert arrived(redis, run, agent.actor) == [2]
    assert agent.status.aborted == 2
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [(each["outcome"], each["trained_on"], each["version"]) for each in records] == [
        ("aborted", False, 1),
        ("win", True, 1),
        ("aborted", False, 1),
    ]
    assert records[0]["labels"] == {"map": "Ladder", "opponent": "Terran"}
    assert records[0]["reason"] == "OSError('SC2 died')"
    assert records[1]["steps"] == records[1]["total_reward"] == 4
    assert records[2]["reason"] == "the agent was closed"


# Servers that are not there.


def test_a_client_started_before_redis_plays_once_a_policy_is_published(server):
    server.kill()
    with connect(server.url, "run", actions=5) as agent:
        assert {play(agent, number).version for number in range(20)} == {0}
        assert agent.flush(PATIENCE_S)
        wait_until(lambda: agent.status.connection == "unreachable")
        assert "expected a running server" in agent.status.problem
        assert (agent.status.untrained, agent.status.queued) == (20, 0)
        server.start()
        wait_until(lambda: agent.status.connection == "waiting for a learner")
        redis = server.connect()
        publish(redis, "run")
        assert agent.wait_until_ready(PATIENCE_S)
        assert play(agent, 20).version == 1
        assert agent.flush(PATIENCE_S)
        assert arrived(redis, "run", agent.actor) == [20]
        assert agent.status.problem == ""
        redis.close()


def test_a_game_begun_after_the_close_is_a_mistake(run):
    agent = connect(f"redis://127.0.0.1:{free_port()}", run, actions=5)
    agent.close(0)
    with pytest.raises(ConfigError, match="episode: begun after the agent was closed, expected before"):
        agent.episode()


def test_without_a_policy_the_fallback_plays(run):
    asked = []

    def fallback(observation, mask):
        asked.append((observation, mask))
        return "a move"

    with connect(f"redis://127.0.0.1:{free_port()}", run, fallback=fallback) as agent:
        assert agent.episode().act("seen", "mask") == "a move"
    assert asked == [("seen", "mask")]


@pytest.mark.parametrize(
    ("options", "mask", "expected"),
    [
        ({"actions": 3}, None, {0, 1, 2}),
        ({"actions": 3}, [0, 1, 1], {1, 2}),
        ({}, [1, 0, 1], {0, 2}),
        ({}, None, {0}),
        ({"game": GAME}, None, set(range(5))),
    ],
)
def test_without_a_fallback_actions_are_drawn_from_what_is_known(run, options, mask, expected):
    with connect(f"redis://127.0.0.1:{free_port()}", run, **options) as agent:
        game = agent.episode()
        assert {game.act([0], mask) for _ in range(100)} == expected


def test_games_continue_while_the_server_hangs_and_arrive_once(server):
    redis = server.connect()
    publish(redis, "run", games=200)
    with connected(f"{server.url}?socket_timeout=1", "run") as agent:
        play_on(agent, 5)
        assert agent.flush(PATIENCE_S)
        server.process.send_signal(signal.SIGSTOP)
        for first in range(5, 75, 10):  # more than a learner that is too slow would get
            play_on(agent, 10, first)
            wait_until(lambda ended=first + 10: agent.status.queued + agent.status.sent == ended)
        wait_until(lambda: agent.status.connection == "unreachable")
        play_on(agent, 5, first=75)
        assert not agent.flush(0.1)
        server.process.send_signal(signal.SIGCONT)
        assert agent.flush(PATIENCE_S)
        assert arrived(redis, "run", agent.actor) == list(range(80))
        assert (agent.status.sent, agent.status.overflow) == (80, 0)
    redis.close()


def test_games_continue_while_the_server_is_down_and_arrive_once(server):
    redis = server.connect()
    publish(redis, "run")
    with connected(server.url, "run") as agent:
        for first in range(0, 30, 10):
            play_on(agent, 5, first)
            server.kill()
            play_on(agent, 5, first + 5)
            server.start()
        redis.close()  # the connection that died with the server
        assert agent.flush(PATIENCE_S), agent.status
        assert arrived(redis, "run", agent.actor) == list(range(30))
    redis.close()


def test_a_close_is_bounded_while_the_server_hangs(server):
    redis = server.connect()
    publish(redis, "run")
    agent = connect(server.url, "run")
    assert agent.wait_until_ready(PATIENCE_S)
    server.process.send_signal(signal.SIGSTOP)
    play_on(agent, 3)
    closing = threading.Thread(target=agent.close, args=(0.5,), daemon=True)
    closing.start()
    closing.join(4)  # less than the connection's own patience
    assert not closing.is_alive()
    redis.close()


def test_games_above_the_limits_are_dropped_oldest_first_and_counted_by_the_learner(server):
    redis = server.connect()
    publish(redis, "run")
    keys = Keys("run")
    with connected(server.url, "run", limits=Limits(queue_games=3)) as agent:
        play_on(agent, 1)
        assert agent.flush(PATIENCE_S)
        server.kill()
        wait_until(lambda: agent.status.connection == "unreachable")
        play_on(agent, 9, first=1)
        wait_until(lambda: agent.status.lost == 6)
        assert agent.status.queued == 3
        server.start()
        redis.close()  # the connection that died with the server
        assert agent.flush(PATIENCE_S)
        assert arrived(redis, "run", agent.actor) == [0, 7, 8, 9]
        config = LearnerConfig(intake=ALL_WELCOME)
        redis.call("DEL", keys.latest, keys.weights(1, 1))
        with learning(server.url, "run", SPEC, config):
            wait_until(lambda: hash_of(redis, keys.head).get("games") == "4")
        assert (hash_of(redis, keys.head)["lost"], hash_of(redis, keys.head)["overflow"]) == ("6", "0")
    redis.close()


# Servers that refuse.


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_password_is_in_the_status_and_can_be_corrected_while_games_continue(kind):
    server = RealServer(kind, requirepass="secret")
    try:
        with connect(server.url.replace("//", "//:hunter2@"), "run", actions=5) as agent:
            wait_until(lambda: agent.status.connection == "denied")
            assert "WRONGPASS" in agent.status.problem
            assert "hunter2" not in agent.status.problem
            play_on(agent, 3)
            admin = replace_connection(server, "secret")
            admin.call("CONFIG", "SET", "requirepass", "hunter2")
            publish(admin, "run")
            assert agent.wait_until_ready(PATIENCE_S)
            admin.close()
    finally:
        server.close()


def replace_connection(server, password):
    from broodmind.common.server.streams import Server

    return Server(server.url.replace("//", f"//:{password}@"))


@pytest.mark.parametrize("options", [{"actions": 4}, {"game": replace(GAME, observation_shape=(4,))}])
def test_a_run_of_another_game_is_in_the_status(shared_server, redis, run, options):
    publish(redis, run)
    with connect(shared_server.url, run, **options) as agent:
        wait_until(lambda: agent.status.connection == "misfit")
        assert "expected" in agent.status.problem
        assert play(agent, 1).version == 0
        assert agent.flush(PATIENCE_S)
        assert agent.status.untrained == 1
    assert redis.call("XLEN", Keys(run).trajectories(agent.actor)) == 0


def test_a_server_at_its_memory_limit_is_waited_for(server):
    redis = server.connect()
    publish(redis, "run")
    with connected(server.url, "run") as agent:
        redis.call("CONFIG", "SET", "maxmemory", 1)
        play_on(agent, 5)
        wait_until(lambda: agent.status.connection == "full")
        play_on(agent, 5, first=5)
        redis.call("CONFIG", "SET", "maxmemory", 0)
        assert agent.flush(PATIENCE_S)
        assert arrived(redis, "run", agent.actor) == list(range(10))
    redis.close()


def test_a_client_follows_a_run_that_is_recreated_with_another_spec(shared_server, redis, run):
    publish(redis, run)
    with connected(shared_server.url, run) as agent:
        play(agent, 1)
        assert agent.flush(PATIENCE_S)
        redis.call("DEL", *redis.call("KEYS", f"broodmind:{{{run}}}:*"))
        publish(redis, run, version=2, spec=replace(SPEC, rollout=RolloutSpec("games", 50)))
        wait_until(lambda: agent.status.version == 2)
        play(agent, 2)
        assert agent.flush(PATIENCE_S)
        assert arrived(redis, run, agent.actor) == [2]


def test_two_processes_with_one_name_lose_nothing_and_both_report_it(shared_server, redis, run, caplog):
    publish(redis, run)
    with connected(shared_server.url, run, name="a") as one, connected(shared_server.url, run, name="a") as other:
        for number in range(0, 10, 2):
            play(one, number)
            assert one.flush(PATIENCE_S)
            play(other, number + 1)
            assert other.flush(PATIENCE_S)
        assert sorted(arrived(redis, run, "a")) == list(range(10))
    assert "'a' is used by another process too" in caplog.text


# Processes.


def test_a_process_that_ends_without_close_sends_its_finished_games(shared_server, redis, run):
    publish(redis, run)
    script = f"""
import sys; sys.path.insert(0, "tests")
from broodmind import connect
from support.clients import play
agent = connect({shared_server.url!r}, {run!r}, name="a")
assert agent.wait_until_ready({PATIENCE_S})
for number in range(10):
    play(agent, number)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE_S)
    assert arrived(redis, run, "a") == list(range(10))


def test_a_game_machine_needs_three_packages():
    """Connecting and playing imports numpy, redis, msgpack and what these need, and nothing of ours beyond."""
    script = f"""
import sys
before = set(sys.modules)
import broodmind
assert not any(name.startswith(("numpy", "redis", "broodmind.actors.")) for name in sys.modules), "not lazy"
agent = broodmind.connect("redis://127.0.0.1:{free_port()}", actions=2)
with agent.episode() as game:
    game.act([1.0])
    game.end("win")
agent.close(0)
print(*{{name.partition(".")[0] for name in set(sys.modules) - before}})
print(*(name for name in sys.modules if name.startswith("broodmind.")))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=PATIENCE_S, capture_output=True, text=True
    )
    top, ours = (set(line.split()) for line in done.stdout.splitlines())
    beyond = {name for name in top - set(sys.stdlib_module_names) if "cython" not in name}
    assert beyond <= {"broodmind", "numpy", "redis", "hiredis", "msgpack"}
    assert not {name for name in ours if name.startswith(("broodmind.learner", "broodmind.deploy"))}
    assert not {"multiprocessing", "asyncio.subprocess", "signal_handlers"} & top


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a b"}, "name: 'a b', expected"),
        ({"run": "a}b"}, "run: 'a}b', expected"),
        ({"url": "localhost"}, "redis: 'localhost', expected redis://"),
        ({"actions": 1}, "actions: 1, expected at least 2"),
        ({"actions": 4, "game": GAME}, "actions: Discrete\\(n=4\\), expected"),
        ({"seed": -1}, "seed: -1, expected a whole number of at least 0"),
    ],
)
def test_invalid_arguments_of_connect_are_refused_at_once(options, message):
    with pytest.raises(ConfigError, match=message):
        connect(**{"url": "redis://127.0.0.1:1", **options})


def test_connect_takes_numbers_of_numpy():
    options = {
        "actions": np.int64(3),
        "seed": np.int64(7),
        "greedy": np.True_,
        "learn": np.False_,
        "version": np.int16(2),
    }
    with connect("redis://127.0.0.1:1", **options) as agent, agent.episode() as game:
        assert game.act([0.0]) in range(3)
        agent.close(0)


def test_a_seed_makes_the_actions_reproducible(shared_server, redis, run):
    publish(redis, run)

    def moves(seed):
        with connected(shared_server.url, run, name="a", seed=seed) as agent:
            game = agent.episode()
            return [game.act([0, 0, 0]) for _ in range(50)]

    assert moves(1) == moves(1) != moves(2)


def test_the_bot_of_the_documentation_learns(shared_server, redis, tmp_path):
    code = documented("docs/client.md", '"""A game with a loop of its own')
    # It plays as fast as it can, and far faster than a learner begins: to its end, if that is after some batches.
    changes = {"timeout_s=30": f"timeout_s={PATIENCE_S}", "for _ in range(200):": "while agent.status.version < 6:"}
    for ours, theirs in changes.items():
        assert ours in code
        code = code.replace(ours, theirs)
    (tmp_path / "bot.py").write_text(code)
    redis.call("DEL", *redis.call("KEYS", "broodmind:{corridor}:*"), "none")
    here = {"cwd": tmp_path, "env": {**os.environ, "BROODMIND_REDIS": shared_server.url}}
    arguments = ("--run", "corridor", "--game", "bot:SPEC", "--batch-steps", "256")
    keys = Keys("corridor")
    with running("learner", *arguments, **here):
        bot = subprocess.run([sys.executable, "bot.py"], timeout=PATIENCE_S, stdout=subprocess.PIPE, check=True, **here)
        head, versions = hash_of(redis, keys.head), redis.call("XRANGE", keys.versions, "-", "1-6")
    counts = {name: int(number) for name, number in re.findall(rb"(sent|overflow|lost)=(\d+)", bot.stdout)}
    games = len((tmp_path / "attempts.jsonl").read_text().splitlines())
    assert (counts[b"sent"] + counts[b"overflow"], counts[b"lost"]) == (games, 0)
    assert [head[name] for name in ("invalid", "stale", "lost", "short_batches")] == ["0"] * 4
    metrics = [dict(zip(fields[::2], fields[1::2], strict=True)) for _, fields in versions]
    sizes = [(float(each[b"batch_steps"]), float(each[b"batch_games"])) for each in metrics if b"batch_steps" in each]
    assert len(sizes) == 5
    # A step that only resets a game counts in the batch, and not in the metric.
    assert all(steps + games >= 256 for steps, games in sizes), sizes
    assert all(steps <= 256 * 9 / 8 for steps, _ in sizes), sizes


def test_a_client_without_room_is_told_of_a_version_when_it_is_published(shared_server, redis, run):
    """And does not ask now and then: an update may take a few milliseconds, and the learner would wait for it."""

    def waits():
        return b"flags=b" in redis.call("CLIENT", "LIST")

    publish(redis, run, games=1)
    with connected(shared_server.url, run, name="a") as agent:
        wait_until(lambda: not waits())
        play(agent, 0)
        assert agent.flush(PATIENCE_S)
        wait_until(waits)
        redis.call("XTRIM", Keys(run).trajectories("a"), "MAXLEN", 0)
        wait_until(lambda: not waits())  # there is room again, and nothing to send
        play(agent, 1)
        assert agent.flush(PATIENCE_S)
    assert arrived(redis, run, "a") == [1]


@pytest.mark.parametrize("first_refused", [0, 1, 3])
@pytest.mark.parametrize("refused_for", [ServerFull("OOM"), NotNow("BUSY")])
def test_a_server_that_refuses_the_middle_of_a_pipeline_loses_nothing(
    shared_server, redis, run, refused_for, first_refused
):
    """A commit may make room between two entries, a script end: one is refused, the one behind it is taken."""
    publish(redis, run)
    own, delivery, refused = FaultyServer(shared_server.url), Delivery(), []

    def rule(commands):
        entries = sum(command[0] == "XADD" for command in commands)  # before everything else
        if entries != 20 or refused:
            return None
        refused.extend(command[2] for command in commands[first_refused : first_refused + 2])
        return refusing

    def refusing(whole, commands):
        replies = whole([*commands[:first_refused], *commands[first_refused + 2 :]])
        replies[first_refused:first_refused] = [refused_for] * 2
        return replies

    own.rule = rule
    for number in range(20):
        delivery.put(make_header(1, 1, 4, 1, 0), b"%d" % number)
    sender = SenderThread(ActorConnection("", run, "a", delivery, server=own), delivery, lambda _: None)
    sender.start()
    try:
        assert delivery.wait_until_empty(PATIENCE_S)
    finally:
        delivery.close()
        assert sender.close(PATIENCE_S)
    assert refused, "never refused"
    entries = redis.call("XRANGE", Keys(run).trajectories("a"), "-", "+")
    came = [int(fields[-1]) for _, fields in entries]
    assert came == [n for n in range(20) if n not in (first_refused, first_refused + 1)] + [
        first_refused,
        first_refused + 1,
    ]
    assert not set(refused) & {entry_id.decode() for entry_id, _ in entries}
    assert (delivery.sent, delivery.lost) == (20, 0)


def test_no_more_is_in_redis_than_the_learner_wants(server):
    """Whatever fails on the way: what the learner has not consumed waits with the game."""
    redis = server.connect()
    publish(redis, "run", games=64)
    with connected(server.url, "run") as agent:
        play_together(agent, 100)
        wait_until(lambda: agent.status.sent == 64, lambda: agent.status)
        for _ in range(3):
            redis.close()
            server.kill()
            wait_until(lambda: agent.status.connection == "unreachable")
            play_on(agent, 5)  # none is given up while the server is away
            server.start()
            wait_until(lambda: agent.status.connection == "connected")
        assert redis.call("XLEN", Keys("run").trajectories(agent.actor)) == 64
        wait_until(lambda: agent.status.queued == 51, lambda: agent.status)
        assert (agent.status.overflow, agent.status.lost) == (0, 0)
        redis.call("XTRIM", Keys("run").trajectories(agent.actor), "MAXLEN", 0)
        assert agent.flush(PATIENCE_S)
    redis.close()


def is_free(folder):
    """Whether no process has a spool."""
    try:
        Spool(folder).close()
    except ConfigError:
        return False
    return True


def test_a_process_that_takes_over_a_spool_adds_nothing_that_is_not_wanted(shared_server, redis, run, tmp_path):
    publish(redis, run, games=64)
    stream = Keys(run).trajectories("a")
    with connected(shared_server.url, run, name="a", spool_dir=tmp_path) as agent:
        play_together(agent, 100)
        wait_until(lambda: (agent.status.sent, agent.status.spooled) == (64, 36), lambda: agent.status)
        assert not agent.flush(0)
        agent.close(0.1)
        wait_until(lambda: is_free(tmp_path / run / "a"))
    with connected(shared_server.url, run, name="a", spool_dir=tmp_path) as agent:
        # One more, as it does not know how large those are that are there.
        wait_until(lambda: (agent.status.sent, agent.status.queued, agent.status.spooled) == (1, 35, 35))
        assert redis.call("XLEN", stream) == 65
        first = arrived(redis, run, "a")
        redis.call("XTRIM", stream, "MAXLEN", 0)
        assert agent.flush(PATIENCE_S)
        assert first + arrived(redis, run, "a") == list(range(100))


def test_two_agents_on_one_machine_have_separate_spools(shared_server, redis, run, tmp_path):
    publish(redis, run)
    with (
        connected(shared_server.url, run, spool_dir=tmp_path) as one,
        connected(shared_server.url, run, spool_dir=tmp_path) as other,
    ):
        assert one.actor != other.actor
        with pytest.raises(ConfigError, match="is used by another process"):
            connect(shared_server.url, run, spool_dir=tmp_path, name=one.actor)
        for agent in (one, other):
            play(agent, 1)
            assert agent.flush(PATIENCE_S)
            assert arrived(redis, run, agent.actor) == [1]


def test_a_password_that_the_url_lacks_comes_from_the_environment(run, monkeypatch):
    server = RealServer("valkey", requirepass="S3cret")
    try:
        monkeypatch.setenv("BROODMIND_REDIS_PASSWORD", "S3cret")
        with connect(server.url, run=run) as agent:
            assert wait_until(lambda: agent.status.connection == "waiting for a learner", lambda: str(agent.status))
        monkeypatch.delenv("BROODMIND_REDIS_PASSWORD")
        with connect(server.url, run=run) as agent:
            assert wait_until(lambda: agent.status.connection == "denied", lambda: str(agent.status))
            assert "NOAUTH" in agent.status.problem
    finally:
        server.close()
