"""Games of other programs, played through `broodmind actors --serve`, against real servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from support.clients import SPEC, arrived, own_metrics_of, played_by, publish
from support.documents import documented, replaced
from support.runs import broodmind, hash_of, running
from support.served import client, compiled, example, framed, served
from support.servers import KINDS, PATIENCE_S, RealServer, free_port, wait_until

from broodmind import connect
from broodmind.actors.inference.policy import Policy
from broodmind.actors.serve.protocol import MAX_FRAME
from broodmind.actors.serve.request_batcher import RequestBatcher
from broodmind.actors.serve.server import ServeLimits
from broodmind.common.actions import Discrete
from broodmind.common.policy.network import initial_params
from broodmind.common.server.keys import Keys
from broodmind.common.spec import GameSpec

CORRIDOR = """
from broodmind.common.actions import Discrete
from broodmind.common.spec import GameSpec

SPEC = GameSpec("corridor", (2,), Discrete(3), wins=True)
"""


@contextlib.contextmanager
def serving(url, run, **options):
    """An agent with a policy, and the port where its server listens."""
    with connect(url, run, **options) as agent, served(agent) as port:
        assert agent.wait_until_ready(PATIENCE_S), agent.status
        yield agent, port


@contextlib.contextmanager
def serve_command(*arguments, **options):
    """The command in a process of its own, and what it said of itself."""
    with running("actors", "--serve", "127.0.0.1:0", *arguments, **options) as process:
        yield process, json.loads(process.stdout.readline())


# Whole games.


def test_a_client_in_c_plays_games_that_are_learnt_from(shared_server, redis, run, tmp_path):
    (tmp_path / "corridor_arrays.py").write_text(CORRIDOR)
    learner = (
        "learner",
        "--game",
        "corridor_arrays:SPEC",
        "--algo",
        "reinforce",
        "--batch-games",
        "4096",  # so many that none is given up, however late the learner sees its first game
        "--batch-wait",
        "1",
        "--learning-rate",
        "1e-3",
    )
    where = ("--redis", shared_server.url, "--run", run)
    line = documented("docs/serve.md", "broodmind actors --serve")
    line = replaced(line, {"127.0.0.1:7777": "127.0.0.1:0", "redis://10.0.0.5:6379": shared_server.url, "zerg": run})
    program = compiled(tmp_path)
    with (
        running(*learner, *where, "--max-staleness", "1000", cwd=tmp_path),
        running(*line.split()[1:], "--records", "records.jsonl", cwd=tmp_path) as server,
    ):
        place = json.loads(server.stdout.readline())
        clients = [
            subprocess.Popen([program, str(place["port"]), "20"], stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        printed = [each.communicate(timeout=PATIENCE_S)[0].splitlines() for each in clients]
        assert [each.returncode for each in clients] == [0, 0]
        assert [len(lines) for lines in printed] == [20, 20]
        wait_until(lambda: hash_of(redis, Keys(run).head).get("games") == "40")
    head = hash_of(redis, Keys(run).head)
    assert [head[name] for name in ("games", "invalid", "stale", "overflow", "lost", "duplicate")] == ["40", *"00000"]
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    lengths = [int(line.split()[3]) for lines in printed for line in lines]
    assert sorted(each["steps"] for each in records) == sorted(lengths)
    assert int(head["steps"]) == sum(lengths)
    assert int(head["version"]) > 1
    assert not redis.call("EXISTS", Keys(run).heartbeat(place["actor"]))


@pytest.mark.parametrize("connections", [1, 16])
def test_concurrent_games_arrive_each_with_its_own_steps(shared_server, redis, run, connections):
    publish(redis, run)
    games = 32

    async def games_of(port, first):
        async with client(port) as it:
            for episode in range(first, games, connections):
                it.send("episode", id=episode)
            for step in range(4):
                for episode in range(first, games, connections):
                    it.send("act", id=episode, observation=[episode, step, 0])
                for episode in range(first, games, connections):
                    it.send("reward", id=episode, value=0.5)
                    it.send("log", id=episode, name="at", value=episode + step)
            for episode in range(first, games, connections):
                it.send("end", id=episode, outcome="loss", reward=-1)
            mine = len(range(first, games, connections))
            return [await it.reply() for _ in range(mine * 6)]

    async def all_games(port):
        return await asyncio.gather(*(games_of(port, first) for first in range(connections)))

    with serving(shared_server.url, run) as (agent, port):
        replies = [reply for mine in asyncio.run(all_games(port)) for reply in mine]
        ends = [reply for reply in replies if reply["type"] == "end"]
        assert sorted(reply["id"] for reply in ends) == list(range(games))
        assert {(each["steps"], each["return"], each["outcome"], each["trained_on"]) for each in ends} == {
            (4, 1.0, "loss", True)
        }
        for episode in range(games):
            actions = [each["action"] for each in replies if (each["type"], each["id"]) == ("act", episode)]
            assert len(actions) == 4
            assert set(actions) <= set(range(5))
        assert agent.flush(PATIENCE_S)
        assert sorted(arrived(redis, run, agent.actor)) == list(range(games))
        own = own_metrics_of(redis, run, agent.actor)
        assert [each["at"] for each in own] == [number + 1.5 for number in arrived(redis, run, agent.actor)]
        assert agent.status.playing == 0


@pytest.mark.parametrize("most", [1, 4, 1024])
def test_requests_that_arrive_together_share_one_forward_pass(shared_server, redis, run, most, monkeypatch):
    publish(redis, run)
    rows, act = [], Policy.act
    monkeypatch.setattr(Policy, "act", lambda self, seen, *rest: rows.append(len(seen)) or act(self, seen, *rest))

    async def play(port):
        async with client(port) as it:
            for episode in range(10):
                it.send("episode", id=episode)
            begun = [await it.reply() for _ in range(10)]
            acts = [{"type": "act", "id": episode, "observation": [0, 0, 0]} for episode in range(10)]
            aborts = [{"type": "abort", "id": episode} for episode in range(10)]
            it.writer.write(b"".join(framed(each) for each in acts + aborts))
            return begun + [await it.reply() for _ in range(20)]

    with connect(shared_server.url, run) as agent, served(agent, RequestBatcher(most)) as port:
        assert agent.wait_until_ready(PATIENCE_S)
        replies = asyncio.run(play(port))
    assert [reply["type"] for reply in replies[:10]] == ["episode"] * 10
    for kind in ("act", "abort"):
        assert [reply["id"] for reply in replies if reply["type"] == kind] == list(range(10))
    assert sum(rows) == 10
    assert max(rows) == min(most, 10)


def test_connections_and_episodes_above_the_limits_are_refused(shared_server, redis, run):
    publish(redis, run)

    async def play(port):
        async with client(port) as it:
            assert [(await it.ask("episode", id=n))["type"] for n in range(3)] == ["episode", "episode", "error"]
            await it.ask("abort", id=0)
            assert (await it.ask("episode", id=3))["type"] == "episode"
            async with client(port, hello=False) as other:
                assert (await other.reply())["error"] == "connections: 1 are open, expected fewer"
                assert await other.reply() is None
            assert (await it.ask("act", id=3, observation=[0, 0, 0]))["type"] == "act"

    with (
        connect(shared_server.url, run) as agent,
        served(agent, limits=ServeLimits(connections=1, episodes=2)) as port,
    ):
        assert agent.wait_until_ready(PATIENCE_S)
        asyncio.run(play(port))


def test_an_episode_keeps_its_version_while_others_play_a_newer_one(shared_server, redis, run):
    publish(redis, run)

    async def play(agent, port):
        async with client(port) as it:
            first = await it.ask("episode", id=1)
            publish(redis, run, version=2)
            while agent.status.version < 2:  # noqa: ASYNC110 - a thread brings it
                await asyncio.sleep(0.01)
            second = await it.ask("episode", id=2)
            for step in range(4):
                it.send("act", id=1, observation=[1, step, 0])
                it.send("act", id=2, observation=[2, step, 0])
                assert {(await it.reply())["id"], (await it.reply())["id"]} == {1, 2}
            it.send("end", id=1, outcome="win")
            it.send("end", id=2, outcome="win")
            assert [await it.reply() for _ in range(2)]
            return first["version"], second["version"]

    with serving(shared_server.url, run) as (agent, port):
        assert asyncio.run(play(agent, port)) == (1, 2)
        assert agent.flush(PATIENCE_S)
        # One entry has both games, or each has one of its own.
        assert played_by(redis, run, agent.actor) == {1: 1, 2: 2}


def test_the_documented_example_is_the_actual_exchange(shared_server, redis, run):
    messages = example(documented("docs/serve.md", "> 00 00"))
    assert [meaning["type"] for way, _, meaning in messages if way == ">"] == [
        *("hello", "episode", "act", "reward", "end", "act")
    ]
    for _, data, meaning in messages:
        assert msgpack.unpackb(data[4:]) == meaning
    spec = replace(SPEC, game=GameSpec("corridor", (2,), Discrete(3), wins=True))
    params = initial_params(spec.network, spec.game, np.random.default_rng(1))
    params["policy/b1"][2] = 100  # nothing but action 2
    publish(redis, run, version=7, spec=spec, params=params)
    with (
        serving(shared_server.url, run, name="example") as (_, port),
        socket.create_connection(("127.0.0.1", port)) as it,
    ):
        it.settimeout(30)
        replies = it.makefile("rb")
        for way, data, _ in messages:
            if way == ">":
                it.sendall(data)
            else:
                assert replies.read(len(data)) == data


def test_arrays_as_bytes_and_as_lists_give_the_same_game(shared_server, redis, run):
    """Of the same policy and the same seed, in the order that the document tells."""
    spec = replace(SPEC, game=GameSpec("grid", (2, 3), Discrete(5), masked=True))
    publish(redis, run, spec=spec)
    seen, mask = np.arange(6, dtype=np.float32), [False, True, False, True, True]

    async def play(port, observation, flags):
        async with client(port) as it:
            await it.ask("episode", id=1)
            moves = [(await it.ask("act", id=1, observation=observation, mask=flags))["action"] for _ in range(50)]
            assert (await it.ask("end", id=1, outcome="tie"))["trained_on"]
            return moves

    played, entries = [], []
    for name, observation, flags in (("a", seen.tolist(), mask), ("a", seen.astype("<f4").tobytes(), bytes(mask))):
        with serving(shared_server.url, run, name=name, seed=3) as (agent, port):
            played.append(asyncio.run(play(port, observation, flags)))
            assert agent.flush(PATIENCE_S)
        (_, fields), *_ = redis.call("XREVRANGE", Keys(run).trajectories(name), "+", "-")
        entries.append(msgpack.unpackb(fields[-1]))
    assert played[0] == played[1]
    assert set(played[0]) == {1, 3, 4}
    assert entries[0]["observations"] == entries[1]["observations"]
    assert entries[0]["observations"][2][:24] == seen.tobytes()
    assert entries[0]["masks"] == entries[1]["masks"]


# What is wrong.


def test_a_broken_connection_aborts_only_its_own_games(shared_server, redis, run, tmp_path, caplog):
    publish(redis, run)

    async def play(agent, port):
        async with client(port) as stays, client(port) as goes:
            for each in (stays, goes):
                await each.ask("episode", id=5, labels={"map": "Ladder"})
                await each.ask("act", id=5, observation=[7, 0, 0])
            for episode in range(100, 400):
                await goes.ask("episode", id=episode)
            asks = [framed({"type": "act", "id": episode, "observation": [7, 1, 0]}) for episode in range(100, 400)]
            goes.writer.write(b"".join(asks))
            goes.writer.write(b"\0\0\1")  # in the middle of a frame
            goes.writer.transport.abort()
            while agent.status.playing > 1:  # noqa: ASYNC110 - the server notices
                await asyncio.sleep(0.01)
            for step in range(1, 4):
                await stays.ask("act", id=5, observation=[7, step, 0])
            return await stays.ask("end", id=5, outcome="win")

    with serving(shared_server.url, run, records=tmp_path / "records.jsonl") as (agent, port):
        assert asyncio.run(play(agent, port))["trained_on"]
        assert agent.flush(PATIENCE_S)
        assert arrived(redis, run, agent.actor) == [7]
        assert (agent.status.aborted, agent.status.wins) == (301, 1)
    record = json.loads((tmp_path / "records.jsonl").read_text().splitlines()[0])
    assert (record["outcome"], record["labels"], record["trained_on"]) == ("aborted", {"map": "Ladder"}, False)
    assert record["reason"].startswith("the connection")
    assert not [each for each in caplog.records if each.name == "asyncio"]  # it complains of writing to nobody


HELLO = framed({"type": "hello", "protocol": 1})


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ((MAX_FRAME + 1).to_bytes(4, "big") + b"x" * 100_000, f"frame: {MAX_FRAME + 1} bytes, expected at most"),
        (b"\xff\xff\xff\xff", "frame: 4294967295 bytes, expected at most"),
        (b"\0\0\0\1\xc1", "payload: "),
        (b"\0\0\0\0", "payload: "),
        (framed([1, 2]), "payload: list, expected a map"),
        (framed({"type": "hello", "protocol": 2}), "protocol: 2, expected an integer from 1 to 1"),
        (framed({"type": "hello", "protocol": 1, "password": "x"}), "unknown fields ['password']"),
        (framed({"type": "hello", "protocol": 1, "wait_s": -1}), "wait_s: -1.0, expected 0 to 3600"),
        (framed({"type": "hello", "protocol": 1, "observation_shape": [4]}), "observation_shape: (4,), expected (3,)"),
        (framed({"type": "hello", "protocol": 1, "masked": True}), "masked: True, expected False (the run's numbered)"),
        (
            framed({"type": "hello", "protocol": 1, "actions": {"kind": "discrete", "n": 4}}),
            "actions: Discrete(n=4), expected Discrete(n=5)",
        ),
        (framed({"type": "hello", "protocol": 1, "actions": 5}), "actions: 5, expected a map"),
        (framed({"type": "episode", "id": 1}), "type: 'begin' before a hello, expected a hello"),
        (HELLO + HELLO, "type: a second hello, expected one"),
        (HELLO + framed({"type": "exec", "code": "1"}), "type: 'exec', expected one of hello, episode, act"),
        (HELLO + framed({"type": "act", "observation": [0, 0, 0]}), "missing fields ['id']"),
        (HELLO + framed({"type": "act", "id": -1, "observation": [0, 0, 0]}), "id: -1, expected an integer from 0"),
        (HELLO + b"\0\0\0\x05\xdd\xff\xff\xff\xff", "payload: "),
        (HELLO + framed({"type": "episode", "id": 1, "labels": {"a": [[[]]] * 20}}), "more lists and maps"),
    ],
)
def test_an_invalid_request_without_an_episode_gets_an_error_and_ends_the_connection(
    shared_server, redis, run, sent, error
):
    publish(redis, run)

    async def talk(port):
        async with client(port) as bystander, client(port, hello=False) as it:
            await bystander.ask("episode", id=1)
            it.writer.write(sent)
            replies = []
            while reply := await it.reply():
                replies.append(reply)
            assert (await bystander.ask("act", id=1, observation=[0, 0, 0]))["type"] == "act"
            return replies

    with serving(shared_server.url, run) as (_, port):
        replies = asyncio.run(talk(port))
    assert (replies[-1]["type"], replies[-1]["id"]) == ("error", None)
    assert error in replies[-1]["error"]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"type": "act", "id": 1, "observation": [0, 0]}, "observation: 2 numbers, expected 3"),
        ({"type": "act", "id": 1, "observation": b"\0" * 16}, "observation: 4 numbers, expected 3"),
        ({"type": "act", "id": 1, "observation": b"\0" * 13}, "observation: 13 bytes, expected four for each number"),
        ({"type": "act", "id": 1, "observation": [0, 0, "1"]}, "observation: [0, 0, '1'], expected numbers"),
        ({"type": "act", "id": 1, "observation": [0, 0, 0], "mask": [True] * 5}, "mask: given, expected none"),
        ({"type": "act", "id": 1, "observation": [0, 0, 0], "mask": b"\2"}, "mask: bytes b'\\x02', expected each"),
        ({"type": "act", "id": 1, "observation": [0, 0, 0], "mask": [1]}, "mask: [1], expected booleans"),
        ({"type": "act", "id": 1, "observation": [0, 0, 0], "x": 1}, "unknown fields ['x']"),
        ({"type": "reward", "id": 1, "value": "1"}, "value: '1', expected a number"),
        ({"type": "reward", "id": 1, "value": True}, "value: True, expected a number"),
        ({"type": "end", "id": 1, "outcome": "won"}, "outcome: 'won', expected one of win, loss, tie, truncated"),
        ({"type": "end", "id": 1, "outcome": "win", "observation": [1]}, "observation: 1 numbers, expected 3"),
        ({"type": "episode", "id": 1}, "id: 1 is that of an open episode, expected another one"),
        ({"type": "episode", "id": 1, "labels": {"map": []}}, "labels: map: [], expected text"),
        ({"type": "jump", "id": 1}, "type: 'jump', expected one of"),
    ],
)
def test_an_invalid_request_for_an_episode_gets_an_error_and_ends_only_that_episode(
    shared_server, redis, run, request_, error
):
    publish(redis, run)

    async def talk(port):
        async with client(port) as it:
            await it.play(0)  # after a whole game, mistakes of a bot in Python would only be logged
            await it.ask("episode", id=1)
            await it.ask("act", id=1, observation=[1, 0, 0])
            refused = await it.ask(**{"kind": request_["type"], **{k: v for k, v in request_.items() if k != "type"}})
            after = await it.ask("act", id=1, observation=[1, 1, 0])
            await it.play(2, episode_id=1)
            return refused, after

    with serving(shared_server.url, run) as (agent, port):
        refused, after = asyncio.run(talk(port))
        assert (refused["type"], refused["id"]) == ("error", 1)
        assert error in refused["error"]
        assert after["error"] == "id: 1, expected that of an open episode"
        assert agent.flush(PATIENCE_S)
        assert arrived(redis, run, agent.actor) == [0, 2]
        assert (agent.status.aborted, agent.status.wins) == (1, 2)


def test_an_error_reaches_a_client_that_was_still_sending(shared_server, redis, run):
    publish(redis, run)
    with serving(shared_server.url, run) as (_, port), socket.create_connection(("127.0.0.1", port)) as it:
        it.settimeout(30)
        it.sendall(b"\xff" * (16 << 20))
        assert b"frame: 4294967295 bytes" in it.recv(1 << 16)


def test_unusable_numbers_exclude_the_episode_from_training_while_the_game_continues(shared_server, redis, run):
    publish(redis, run)

    async def talk(port):
        async with client(port) as it:
            await it.ask("episode", id=1)
            await it.ask("act", id=1, observation=[1, 0, float("nan")])
            assert (await it.ask("act", id=1, observation=[1, 1, 0]))["type"] == "act"
            return await it.ask("end", id=1, outcome="win")

    with serving(shared_server.url, run) as (agent, port):
        end = asyncio.run(talk(port))
        assert (end["outcome"], end["trained_on"]) == ("aborted", False)
        assert "observation: nan" in end["reason"]
        assert agent.flush(PATIENCE_S)
        assert arrived(redis, run, agent.actor) == []


def test_a_client_that_stops_reading_replies_does_not_block_other_clients(shared_server, redis, run):
    publish(redis, run)

    async def talk(agent, port):
        async with client(port) as deaf, client(port) as it:
            talk = framed({"type": "reward", "id": 1, "x" * 900: 1}) * 1000  # each is answered with as much
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 100 << 20:
                    deaf.writer.write(talk)
                    sent += len(talk)
                    async with asyncio.timeout(2):
                        await deaf.writer.drain()
            assert sent < 100 << 20
            return await it.play(3)

    with serving(shared_server.url, run) as (agent, port):
        assert asyncio.run(talk(agent, port))["trained_on"]


# Without a policy, and without Redis.


def test_without_redis_the_action_space_in_the_hello_is_enough_to_play():
    async def talk(port):
        actions = {"kind": "multi_discrete", "sizes": [2, 3]}
        async with client(port, wait_s=0, actions=actions) as it:
            await it.ask("episode", id=1)
            moves = [await it.ask("act", id=1, observation=[9] * 7) for _ in range(50)]
            return [move["action"] for move in moves], await it.ask("end", id=1, outcome="win")

    with connect(f"redis://127.0.0.1:{free_port()}", "run") as agent, served(agent) as port:
        moves, end = asyncio.run(talk(port))
    assert {tuple(move) for move in moves} == {(a, b) for a in range(2) for b in range(3)}
    assert (end["outcome"], end["trained_on"], end["reason"]) == ("win", False, "played without a policy")


def test_a_hello_waits_for_a_policy_and_another_game_than_the_runs_is_refused(shared_server, redis, run):
    async def talk(agent, port):
        async with client(port, wait_s=0, observation_shape=[4]) as hasty:
            patient = asyncio.create_task(first_reply(port))
            assert (await hasty.ask("episode", id=1))["version"] == 0
            publish(redis, run)
            assert (await patient)["game"]["observation_shape"] == [3]
            return await hasty.ask("episode", id=2)

    async def first_reply(port):
        async with client(port, hello=False) as it:
            return await it.ask("hello", protocol=1, wait_s=PATIENCE_S)

    with connect(shared_server.url, run) as agent, served(agent) as port:
        refused = asyncio.run(talk(agent, port))
    assert (refused["id"], refused["error"]) == (2, "observation_shape: (4,), expected (3,) (the run's numbered)")


@pytest.mark.parametrize("kind", KINDS)
def test_games_continue_while_redis_hangs_and_arrive_once(kind):
    server = RealServer(kind)
    try:
        redis = server.connect()
        publish(redis, "run")

        async def play(port, numbers):
            async with client(port) as it:
                return [await it.play(number) for number in numbers]

        with serving(f"{server.url}?socket_timeout=1", "run") as (agent, port):
            asyncio.run(play(port, range(3)))
            assert agent.flush(PATIENCE_S)
            server.process.send_signal(signal.SIGSTOP)
            asyncio.run(play(port, range(3, 20)))
            wait_until(lambda: agent.status.connection == "unreachable")
            asyncio.run(play(port, range(20, 25)))
            server.process.send_signal(signal.SIGCONT)
            assert agent.flush(PATIENCE_S)
            assert arrived(redis, "run", agent.actor) == list(range(25))
        redis.close()
    finally:
        server.process.send_signal(signal.SIGCONT)
        server.close()


# The command.


def test_a_signal_aborts_open_games_sends_finished_ones_and_ends_the_command(shared_server, redis, run, tmp_path):
    publish(redis, run)
    records = tmp_path / "records.jsonl"

    async def play(process, port):
        async with client(port) as it:
            await it.play(1)
            await it.ask("episode", id=1)
            process.send_signal(signal.SIGTERM)
            return await it.reply(), await it.reply()

    where = ("--redis", shared_server.url, "--run", run, "--name", "served", "--records", str(records))
    with serve_command(*where) as (process, place):
        notice, end = asyncio.run(play(process, place["port"]))
        assert (notice["error"], end) == ("the server was stopped", None)
        assert process.wait(PATIENCE_S) == 0
    assert arrived(redis, run, "served") == [1]
    assert [json.loads(line)["outcome"] for line in records.read_text().splitlines()] == ["win", "aborted"]


@pytest.mark.parametrize("kind", KINDS)
def test_games_of_a_command_that_was_killed_are_sent_by_the_next_one(kind, tmp_path):
    server = RealServer(kind)
    records = tmp_path / "records.jsonl"
    where = ("--redis", server.url, "--name", "served", "--spool-dir", str(tmp_path), "--records", str(records))
    try:
        redis = server.connect()
        publish(redis, "default")

        async def play(port, numbers):
            async with client(port) as it:
                return [(await it.play(number))["trained_on"] for number in numbers]

        with serve_command(*where) as (process, place):
            assert asyncio.run(play(place["port"], range(3))) == [True] * 3
            wait_until(lambda: len(arrived(redis, "default", "served")) == 3)
            server.process.send_signal(signal.SIGSTOP)
            assert asyncio.run(play(place["port"], range(3, 9))) == [True] * 6
            wait_until(lambda: len(records.read_text().splitlines()) == 9)  # what is recorded is on disk
            process.kill()
            process.wait(PATIENCE_S)
        server.process.send_signal(signal.SIGCONT)
        with serve_command(*where) as (_, place):
            asyncio.run(play(place["port"], [9]))
            wait_until(lambda: len(arrived(redis, "default", "served")) >= 10)
        assert arrived(redis, "default", "served") == list(range(10))
        redis.close()
    finally:
        server.process.send_signal(signal.SIGCONT)
        server.close()


def test_the_command_ends_with_its_parent(shared_server, redis, run):
    where = ("--redis", shared_server.url, "--run", run, "--lifeline")
    with serve_command(*where, stdin=subprocess.PIPE) as (process, _):
        process.stdin.close()
        process.stdin = None
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--serve", "7777"), 3, "serve: '7777', expected HOST:PORT"),
        (("--serve", "::1:7777"), 3, "serve: '::1:7777', expected HOST:PORT"),
        (("--serve", "127.0.0.1:99999"), 3, "serve: '127.0.0.1:99999', expected HOST:PORT"),
        (("--serve", "203.0.113.7:7777"), 3, "expected a free address of this machine"),
        (("--serve", "127.0.0.1:0", "--game", "TinyZerg"), 2, "--game: TinyZerg, expected only without --serve"),
        (("--serve", "127.0.0.1:0", "--actors", "3"), 2, "--actors: 3, expected only without --serve"),
        (("--spool-dir", "x"), 2, "--spool-dir: x, expected only with --serve"),
    ],
)
def test_invalid_options_of_serve_end_the_command_at_once(arguments, code, said):
    process = broodmind("actors", *arguments)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code
    assert said in " ".join(errors.split())


def test_an_address_in_use_is_named_in_the_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = broodmind("actors", "--serve", address)
        assert f"serve: {address}: " in process.communicate(timeout=PATIENCE_S)[1]
        assert process.returncode == 3


@pytest.mark.parametrize(("address", "warned"), [("[::1]:0", False), ("0.0.0.0:0", True), ("localhost:0", False)])
def test_an_address_other_machines_can_reach_gives_a_warning(run, address, warned):
    process = broodmind("actors", "--serve", address, "--redis", f"redis://127.0.0.1:{free_port()}", "--run", run)
    try:
        place = json.loads(process.stdout.readline())
        socket.create_connection((place["host"], place["port"])).close()
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert ("there is no password" in errors) == warned
