"""The cost of durability: pushes per second and milliseconds per commit in strict and fast mode, and without a log.

    python benchmarks/durability.py

Strict mode flushes each write to disk before it is acknowledged (appendfsync always, as in deploy/files/redis.conf);
fast mode flushes once a second (everysec). The servers of all modes run at the same time and are measured in turn, in
many rounds, so that changes of the machine's speed affect all of them alike. Prints a Markdown table: medians over the
rounds, and their ratio to strict mode.
"""

from __future__ import annotations

import secrets
import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click
from servers import CONFIG, LocalServer, binaries

from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import CONSUMER, GROUP, Keys
from broodmind.common.wire.entry_header import Header
from broodmind.learner.commit.commit import Commit, send
from broodmind.learner.commit.lease import Lease
from broodmind.learner.ledger.head import Head, next_head

if TYPE_CHECKING:
    from broodmind.common.server.streams import Server

MODES = {"strict": {"appendfsync": "always"}, "fast": {"appendfsync": "everysec"}, "no log": {"appendonly": "no"}}
ENTRY = secrets.token_bytes(40_000)  # the size of a fragment of TinyZerg, 32 steps of 32 games
WEIGHTS, STATE = secrets.token_bytes(45_000), secrets.token_bytes(140_000)  # two hidden layers of 64, and Adam's
PUSHES, COMMITS, CONSUMED = 40, 10, 4  # in a round; entries a commit consumes
HEADER = Header(1, (1, 1), 1024, 1)
KEYS = Keys("durability")
STREAM = KEYS.trajectories("a")


class Measured:
    """One server, and a round of pushes and commits on it."""

    def __init__(self, server: Server) -> None:
        self._server, self._sequence, self._head = server, 0, Head()
        self._lease = Lease(KEYS, 600_000)
        self._lease.acquire(server, Stop(), 0)
        server.call("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")
        self.pushes_per_second: list[float] = []
        self.commit_ms: list[float] = []

    def round(self) -> None:
        """Push as an actor does, one entry in each round trip, then commit all entries."""
        began_s = time.perf_counter()
        for _ in range(PUSHES):
            self._sequence += 1
            push = ("XADD", STREAM, f"1-{self._sequence}", *HEADER.fields(ENTRY))
            self._server.pipeline([push, ("GET", KEYS.latest), ("XLEN", STREAM)])
        self.pushes_per_second.append(PUSHES / (time.perf_counter() - began_s))
        for first in range(self._sequence - PUSHES + 1, self._sequence, CONSUMED):
            self._server.call("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", CONSUMED, "STREAMS", STREAM, ">")
            commit = self._commit((1, first + CONSUMED - 1))
            began_s = time.perf_counter()
            send(self._server, KEYS, self._lease, commit)
            self.commit_ms.append(1000 * (time.perf_counter() - began_s))
            self._head = commit.head

    def _commit(self, last: tuple[int, int]) -> Commit:
        head = next_head(self._head, publish=True)
        head = head if self._head.commit else Head(1, 1, head.commit)
        counters = {"accepted": last[1]}
        return Commit(self._head, head, STATE, WEIGHTS, counters, counters, counters, {"a": (last, CONSUMED)})


@click.command()
@click.option("--rounds", default=30, show_default=True)
def main(rounds: int) -> None:
    """Measure and print the table."""
    print("| server | mode | pushes/s | relative to strict | ms per commit | relative to strict |")
    print("|---|---|---|---|---|---|")
    for name, binary in binaries().items():
        with ExitStack() as stack:
            measured = {
                mode: Measured(stack.enter_context(LocalServer(binary, CONFIG, **options)).connect())
                for mode, options in MODES.items()
            }
            for _ in range(rounds + 1):
                for each in measured.values():
                    each.round()
            medians = {
                mode: (statistics.median(each.pushes_per_second[1:]), statistics.median(each.commit_ms[COMMITS:]))
                for mode, each in measured.items()
            }
        pushes, commit_ms = medians["strict"]
        for mode, (own_pushes, own_ms) in medians.items():
            print(
                f"| {name} | {mode} | {own_pushes:,.0f} | {own_pushes / pushes:.2f} "
                f"| {own_ms:.2f} | {own_ms / commit_ms:.2f} |"
            )


if __name__ == "__main__":
    main()
