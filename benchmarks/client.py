"""The latency of `act` in the client while Redis is up, hangs, is dead, and is back.

    python benchmarks/client.py
    python benchmarks/client.py --seconds 30 --pause-ms 2

Plays games of 200 steps through the client, with 15 features, 5 actions and hidden layers of 64 and 64. A real server
(Redis or the wheel's Valkey) and a learner run in processes of their own. Between two steps the game sleeps, as if it
waited for its next frame. Prints a Markdown table, in milliseconds, and the counts of games.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import click
import numpy as np
from servers import LocalServer, binaries

from broodmind import Agent, connect
from broodmind.actors.games.tinyzerg import TinyZerg

DECISIONS = 200


def play(agent: Agent, seconds: float, pause_s: float) -> dict[str, np.ndarray]:
    """Play games for some seconds. Returns the duration of each call, in milliseconds."""
    rng = np.random.default_rng(0)
    taken: dict[str, list[float]] = {"act": [], "end": []}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        with agent.episode(map="benchmark") as game:
            for _ in range(DECISIONS):
                observation = rng.random(15)
                began = time.perf_counter()
                game.act(observation)
                taken["act"].append(time.perf_counter() - began)
                game.reward(0.01)
                time.sleep(pause_s)
            began = time.perf_counter()
            game.end("win")
            taken["end"].append(time.perf_counter() - began)
    return {name: 1000 * np.array(values) for name, values in taken.items()}


def row(phase: str, taken: dict[str, np.ndarray]) -> str:
    """One line of the table."""
    act, end = taken["act"], taken["end"]
    figures = [f"{np.percentile(act, 50):.3f}", f"{np.percentile(act, 99):.3f}", f"{act.max():.3f}"]
    return f"| {phase} | {len(act):,} | {' | '.join(figures)} | {end.max():.3f} |"


@click.command()
@click.option("--seconds", default=12.0, show_default=True, help="Of each phase.")
@click.option("--pause-ms", default=1.0, show_default=True, help="Between two steps.")
@click.option("--server", type=click.Choice(["Redis", "Valkey"]), default="Redis", show_default=True)
def main(seconds: float, pause_ms: float, server: str) -> None:
    """Measure and print the table."""
    local_server = LocalServer(binaries()[server], appendonly="yes", appendfsync="always")
    options = ("--redis", local_server.url, "--run", "benchmark", "--game", "TinyZerg", "--hidden", "64,64")
    learner = subprocess.Popen(
        [sys.executable, "-m", "broodmind.deploy.cli", "learner", *options], stderr=subprocess.DEVNULL
    )
    agent = connect(local_server.url, "benchmark", game=TinyZerg.spec)
    try:
        if not agent.wait_until_ready(30):
            raise click.ClickException(f"no policy: {agent.status}")
        print(f"| {server} | calls of act | p50 | p99 | max | max of end |")
        print("|---|---|---|---|---|---|")
        pause_s = pause_ms / 1000
        print(row("up", play(agent, seconds, pause_s)), flush=True)
        local_server.process.send_signal(signal.SIGSTOP)
        print(row("hung", play(agent, seconds, pause_s)), flush=True)
        local_server.process.send_signal(signal.SIGCONT)
        local_server.kill()
        print(row("dead", play(agent, seconds, pause_s)), flush=True)
        local_server.start()
        print(row("back", play(agent, seconds, pause_s)), flush=True)
        sent = agent.flush(60)
        status = agent.status
        ended = status.wins
        print(
            f"\n{ended} games ended, {status.sent} sent, {status.overflow} given up, {status.lost} dropped, "
            f"all acknowledged: {sent}"
        )
    finally:
        agent.close()
        learner.terminate()
        learner.wait(30)
        local_server.close()


if __name__ == "__main__":
    main()
