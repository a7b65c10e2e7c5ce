"""How many small games a second a client plays, and what a game costs it, beside a learner that trains on them.

    python benchmarks/client_rate.py
    python benchmarks/client_rate.py --clients 16 --rate 30 --learner "--n-epochs 40"

Each client is a process that plays games of 12 steps with 4 features, 3 actions and hidden layers of 64 and 64: as fast
as it can, or at a given rate. `act` is the time of the thread that plays, in `act` and `reward`, for one step; the rest
is what else the process uses for a game, in all its threads. Both are of the processor's clock, not of the wall's.
Prints a Markdown table, one row a client, and what the learner has counted.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from servers import LocalServer, binaries

from broodmind import Discrete, GameSpec, connect

SPEC = GameSpec("small", (4,), Discrete(3))
GAME = '''"""The arrays of the game, for the learner."""
from broodmind import Discrete, GameSpec

SPEC = GameSpec("small", (4,), Discrete(3))
'''
SHOWN = ("version", "games", "stale", "too_old", "overflow", "lost")


def play(url: str, name: str, seconds: float, steps: int, rate: float) -> dict[str, float | str]:
    """Play games for some seconds. Returns the figures of a row."""
    agent = connect(url, "benchmark", game=SPEC, name=name, seed=1)
    if not agent.wait_until_ready(60):
        raise click.ClickException(f"no policy: {agent.status}")
    observations = np.random.default_rng(0).random((steps, 4)).astype(np.float32)
    began_s, process_s, games, act_s = time.perf_counter(), time.process_time(), 0, 0.0
    while (elapsed_s := time.perf_counter() - began_s) < seconds:
        if rate and games > elapsed_s * rate:
            time.sleep(games / rate - elapsed_s)
        with agent.episode() as game:
            before_s = time.thread_time()
            for observation in observations:
                game.act(observation)
                game.reward(0.1)
            act_s += time.thread_time() - before_s
            game.end("win")
        games += 1
    process_s = time.process_time() - process_s
    agent.flush(30)
    status = agent.status
    agent.close()
    return {
        "client": name,
        "games/s": round(games / elapsed_s),
        "act, ms a step": round(1000 * act_s / games / steps, 4),
        "rest, ms a game": round(1000 * (process_s - act_s) / games, 3),
        "sent": status.sent,
        "given up": status.overflow,
        "lost": status.lost,
    }


@click.command()
@click.option("--seconds", default=15.0, show_default=True)
@click.option("--clients", default=1, show_default=True)
@click.option("--steps", default=12, show_default=True, help="Of a game.")
@click.option("--rate", default=0.0, show_default=True, help="Games a second of each client; 0: as fast as it can.")
@click.option("--learner", default="", help="Further options of the learner.")
@click.option("--server", type=click.Choice(["Redis", "Valkey"]), default="Redis", show_default=True)
@click.option("--play-for", hidden=True, default="", help="URL and name: be one of the clients.")
def main(seconds: float, clients: int, steps: int, rate: float, learner: str, server: str, play_for: str) -> None:
    """Measure and print the table."""
    if play_for:
        print(json.dumps(play(*play_for.split(" "), seconds, steps, rate)))
        return
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with LocalServer(binaries()[server]) as local, tempfile.TemporaryDirectory() as folder:
        Path(folder, "small_game.py").write_text(GAME)
        command = ["learner", "--redis", local.url, "--run", "benchmark", "--game", "small_game:SPEC"]
        process = subprocess.Popen(
            [sys.executable, "-m", "broodmind.deploy.cli", *command, "--hidden", "64,64", *shlex.split(learner)],
            stderr=subprocess.DEVNULL,
            env={**environment, "PYTHONPATH": folder},
        )
        options = ["--seconds", str(seconds), "--steps", str(steps), "--rate", str(rate)]
        players = [
            subprocess.Popen(
                [sys.executable, __file__, *options, "--play-for", f"{local.url} client-{number:02}"],
                stdout=subprocess.PIPE,
                env=environment,
            )
            for number in range(clients)
        ]
        rows = [json.loads(player.communicate()[0]) for player in players]
        redis = local.connect()
        head = redis.call("HGETALL", "broodmind:{benchmark}:head")
        redis.close()
        process.terminate()
        process.wait(30)
    print("| " + " | ".join(rows[0]) + " |")
    print("|---" * len(rows[0]) + "|")
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")
    counted = {name.decode(): value.decode() for name, value in zip(head[::2], head[1::2], strict=True)}
    print("\nlearner: " + ", ".join(f"{name} {counted.get(name, 0)}" for name in SHOWN))
    sent = [row["sent"] for row in rows]
    print(f"slowest to fastest client: {min(sent) / max(sent):.2f}")


if __name__ == "__main__":
    main()
