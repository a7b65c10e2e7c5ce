"""Actions per second through `broodmind actors --serve`, computed in batches and one by one.

    python benchmarks/serve.py
    python benchmarks/serve.py --seconds 5 --rounds 7

One server batches the requests of one turn of its event loop, another computes each request alone, each in a process of
its own. They get the same load in turn: 1, 16 and 256 games at once, 15 features, 5 actions, hidden layers of 64 and
64. A game requests its next action as soon as it has the last one; each game has a connection of its own, or all share
one. The load generator is one process too: with two cores it takes half of the machine. Prints a Markdown table with
medians over the rounds.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click
import msgpack
import numpy as np
from servers import LocalServer, binaries

from broodmind import connect
from broodmind.actors.serve.request_batcher import RequestBatcher
from broodmind.actors.serve.server import listen, serve
from broodmind.common.process.shutdown import stop_on_signal

if TYPE_CHECKING:
    from collections.abc import Iterator

GAMES = (1, 16, 256)


class Load(asyncio.Protocol):
    """Plays some games on one connection: after each reply it sends that game's next request."""

    def __init__(self, games: int) -> None:
        packer, self._acts, self._unread = msgpack.Packer(), {}, b""
        for game in range(games):
            observation = np.random.default_rng(game).random(15, np.float32).tobytes()
            self._acts[game] = _framed(packer.pack({"type": "act", "id": game, "observation": observation}))
        self.replies = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start all games."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        requests = [{"type": "hello", "protocol": 1, "wait_s": 30}]
        requests += [{"type": "episode", "id": game} for game in self._acts]
        transport.write(b"".join(_framed(msgpack.packb(each)) for each in requests))

    def data_received(self, data: bytes) -> None:
        """Continue each game that got a reply."""
        self._unread += data
        asks, at = [], 0
        while len(self._unread) >= at + 4:
            end = at + 4 + int.from_bytes(self._unread[at : at + 4], "big")
            if len(self._unread) < end:
                break
            reply, at = msgpack.unpackb(self._unread[at + 4 : end]), end
            if reply["type"] == "error":
                raise click.ClickException(reply["error"])
            if reply["type"] != "hello":
                self.replies += 1
                asks.append(self._acts[reply["id"]])
        self._unread = self._unread[at:]
        self._transport.write(b"".join(asks))

    def close(self) -> None:
        """Close the connection."""
        self._transport.abort()


def _framed(packed: bytes) -> bytes:
    return len(packed).to_bytes(4, "big") + packed


async def acts_per_second(port: int, games: int, connections: int, seconds: float) -> float:
    """Actions per second of that many games at once, on that many connections."""
    loop = asyncio.get_running_loop()
    loads = [
        (await loop.create_connection(lambda: Load(games // connections), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(0.5)
    before, began = sum(load.replies for load in loads), time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (sum(load.replies for load in loads) - before) / (time.perf_counter() - began)
    for load in loads:
        load.close()
    await asyncio.sleep(0.2)
    return rate


@contextlib.contextmanager
def processes(binary: str) -> Iterator[tuple[int, int]]:
    """Redis, a learner and both servers. Yields the servers' ports: with and without batching."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(LocalServer(binary)).url

        def start(*command: str, **options: int) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(command, **options)
            stack.callback(process.wait, 30)
            stack.callback(process.send_signal, signal.SIGTERM)
            return process

        options = ("--redis", url, "--run", "benchmark", "--game", "TinyZerg", "--hidden", "64,64")
        start(sys.executable, "-m", "broodmind.deploy.cli", "learner", *options, stderr=subprocess.DEVNULL)
        servers = [
            start(sys.executable, __file__, "--serve", url, most, stdout=subprocess.PIPE) for most in ("1024", "1")
        ]
        together, alone = (int(each.stdout.readline()) for each in servers if each.stdout)
        yield together, alone


def serve_here(url: str, most: int) -> None:
    """Run one of the servers."""
    with stop_on_signal() as stop, listen("127.0.0.1:0") as listener, connect(url, "benchmark") as agent:
        agent.wait_until_ready(30)
        print(listener.getsockname()[1], flush=True)
        serve(agent, listener, stop, RequestBatcher(most))


@click.command()
@click.option("--seconds", default=2.0, show_default=True, help="Of each measurement.")
@click.option("--rounds", default=5, show_default=True, help="Of measurements, the two servers taking turns.")
@click.option("--server", type=click.Choice(["Redis", "Valkey"]), default="Redis", show_default=True)
@click.option("--serve", "serving", nargs=2, hidden=True)
def main(seconds: float, rounds: int, server: str, serving: tuple[str, str] | None) -> None:
    """Measure and print the table."""
    if serving:
        serve_here(serving[0], int(serving[1]))
        return
    loads = [(games, connections) for games in GAMES for connections in sorted({games, 1}, reverse=True)]
    with processes(binaries()[server]) as (together, alone):
        print("| games at once | connections | acts/s together | acts/s alone | ratio (range) |")
        print("|---|---|---|---|---|")
        for games, connections in loads:
            pairs = [
                [asyncio.run(acts_per_second(port, games, connections, seconds)) for port in (together, alone)]
                for _ in range(rounds)
            ]
            ratios = sorted(one / other for one, other in pairs)
            rates = [statistics.median(column) for column in zip(*pairs, strict=True)]
            figures = f"{rates[0]:,.0f} | {rates[1]:,.0f} | {statistics.median(ratios):.2f}"
            print(f"| {games} | {connections} | {figures} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |", flush=True)


if __name__ == "__main__":
    main()
