"""A game's process is killed at random moments, its server too: each game that was kept arrives exactly once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.clients import arrived, play, publish
from support.servers import KINDS, PATIENCE_S, RealServer, wait_until

from broodmind import connect

# Plays numbered games for ever, from the number on that it is told; says which ones are on disk or in Redis by now.
PLAYER = """
import sys; sys.path.insert(0, "tests")
from broodmind import connect
from support.clients import play
from support.servers import wait_until
url, folder, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
agent = connect(url, "run", name="a", spool_dir=folder)
print("connected", flush=True)
agent.wait_until_ready(60)
first = number
while True:
    play(agent, number)
    number += 1
    if number % 3 == 0:  # the others are killed in the middle of whatever the threads are at
        wait_until(lambda: sum((agent.status.wins, agent.status.untrained)) >= number - first)
        print(number - 1, flush=True)
"""


def start(url, folder, number):
    arguments = [sys.executable, "-c", PLAYER, url, str(folder), str(number)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_spooled_game_arrives_once_although_processes_are_killed(kind, tmp_path, chaos, times):
    server = RealServer(kind, appendonly="yes", appendfsync="always")
    redis = server.connect()
    # The learner of this run consumes nothing: so many entries may stand in the stream that none is held back.
    publish(redis, "run", games=1_000_000)
    kept, first = [], 0
    try:
        for _ in range(times(100)):
            player = start(server.url, tmp_path, first)
            assert player.stdout.readline() == "connected\n"
            time.sleep(chaos.uniform(0.05, 0.6))
            accident = chaos.choice(["none", "hang", "kill"])
            if accident == "hang":
                server.process.send_signal(signal.SIGSTOP)
            elif accident == "kill":
                redis.close()
                server.kill()
            time.sleep(chaos.uniform(0, 0.3))
            player.kill()
            said, _ = player.communicate()
            if accident == "hang":
                server.process.send_signal(signal.SIGCONT)
            elif accident == "kill":
                server.start()
            numbers = [int(line) for line in said.split()]
            kept += range(first, numbers[-1] + 1) if numbers else []
            first += 100_000
        last = start(server.url, tmp_path, first)
        # What it plays itself comes behind everything that was left to it.
        wait_until(lambda: arrived(redis, "run", "a")[-1:] >= [first])
        last.kill()
        last.communicate()
        came = arrived(redis, "run", "a")
        print(f"{len(kept)} games known to be kept, {len(came)} came")
        assert len(came) == len(set(came)), "a game came twice"
        assert sorted(came) == came, "games came out of order"
        assert set(kept) <= set(came), f"lost: {sorted(set(kept) - set(came))[:20]}"
        assert len(kept) > times(100)
    finally:
        server.process.send_signal(signal.SIGCONT)
        redis.close()
        server.close()


def test_a_process_that_ends_normally_leaves_its_spool_empty(shared_server, redis, run, tmp_path):
    publish(redis, run)
    with connect(shared_server.url, run, spool_dir=tmp_path) as agent:
        assert agent.wait_until_ready(PATIENCE_S)
        play(agent, 1)
        assert agent.flush(PATIENCE_S)
        assert arrived(redis, run, agent.actor) == [1]
    assert agent.actor.endswith("-000")
    assert [file.name for file in Path(tmp_path, run, agent.actor).iterdir()] == ["lock"]
