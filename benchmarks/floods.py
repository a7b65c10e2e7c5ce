"""What the floods of one hostile actor cost a learner: its rate beside each of them, relative to its rate without.

    python benchmarks/floods.py
    python benchmarks/floods.py --server Redis --rounds 5 large

Real: the server, `broodmind learner` and one actor, which learn CartPole-v1. In each round they are started anew.
Within a round, windows without a flood and windows beside one alternate; the ratio is that of a window to the mean of
the two before and after it. A second ratio is of the steps for each second of processor time that learner and server
take together: it hardly depends on what else the machine does, and does not show what they wait for.

A flood is written by a stranger to a server without users, so each does more than `broodmind acl` allows. It is written
before its window begins; what must be kept up, such as a field that the learner overwrites, is written again once a
second. So what is measured is what the learner does because of it, and hardly what the attacker's own process takes.
"""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from benchmark_run import RUN, BenchmarkRun, on_cores
from results import Result

from broodmind.common.process.clock import now_ms
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import Server

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = Keys(RUN)
TARGET = 0.9
_WARM_UP_S, _SETTLE_S = 4.0, 1.0
_AGAIN_S = 1.0
_TTL_MS = 600_000
NAMES = 6000
MB = 1 << 20


def add(server: Server, name: str, entries: int, payload: bytes) -> None:
    """Entries that no learner takes."""
    for number in range(1, entries + 1):
        header = ("v", 1, "e", 1, "c", "", "n", 1, "g", 0, "t", now_ms())
        server.call("XADD", KEYS.trajectories(name), f"7-{number}", *header, "p", payload)


def live(server: Server, *names: str) -> None:
    """Heartbeats, so that these names are admitted."""
    keys = [KEYS.heartbeat(name) for name in names]
    fields = ("state", "playing", "credit_steps", 1, "version", 1)
    server.pipeline([command for key in keys for command in (("HSET", key, *fields), ("PEXPIRE", key, _TTL_MS))])


def invented_names(server: Server) -> Callable[[], None]:
    """Names without actors, in the roster and in heartbeats: more than a roster holds."""
    names = [f"aaa{number:06}" for number in range(NAMES)]
    live(server, *names)
    fields = [part for name in names for part in (name, 1)]
    return lambda: server.call("HSET", KEYS.roster, *fields)


def junk_in_fields_of_others(server: Server) -> Callable[[], None]:
    """What an honest actor's fields and keys hold is replaced."""
    actors = [name.decode() for name in server.call("HKEYS", KEYS.roster)]

    def again() -> None:
        for actor in actors:
            server.call("HSET", KEYS.roster, actor, "9" * 5000)
            server.call("HSET", KEYS.heartbeat(actor), "lock_step", "junk", "state", "junk")
            server.call("SET", KEYS.incarnation(actor), "junk")

    return again


def field_of_200_mb(server: Server) -> Callable[[], None]:
    """A field's name and a field's value of 200 MB each, in a heartbeat."""
    large = b"x" * (200 * MB)
    live(server, "evil")
    server.pipeline([("HSET", KEYS.heartbeat("evil"), *field) for field in (("state", large), (large, "x"))])
    return lambda: None


def large_entries(server: Server) -> Callable[[], None]:
    """40 entries of 50 MB in 20 streams; their actors appear when the window begins."""
    names = [f"large-{number:03}" for number in range(20)]
    for name in names:
        add(server, name, 2, b"\0" * (50 * MB))
    live(server, *names)
    return lambda: None


def small_junk(server: Server) -> Callable[[], None]:
    """Twenty actors, each of which adds 50 entries that are none, once a second."""
    names, numbers = [f"small-{number:03}" for number in range(20)], iter(range(1, 1 << 30))
    live(server, *names)

    def again() -> None:
        last = next(numbers) * 1000
        ids = [f"8-{last + number}" for number in range(50)]
        server.pipeline([("XADD", KEYS.trajectories(name), each, "x", "y") for name in names for each in ids])

    return again


def unread_streams(server: Server) -> Callable[[], None]:
    """Streams of names that are not admitted."""
    adds = [("XADD", KEYS.trajectories(f"bbb{number:06}"), "7-1", "x", b"\0" * 1000) for number in range(NAMES)]
    server.pipeline(adds)
    return lambda: None


def idle_clients(server: Server) -> Callable[[], None]:
    """A thousand actors that are admitted and deliver nothing."""
    live(server, *(f"idle-{number:03}" for number in range(1000)))
    return lambda: None


def nothing(server: Server) -> Callable[[], None]:
    """No flood: how much the ratios vary by themselves."""
    server.call("PING")
    return lambda: None


# In this order, because the learner needs a while to forget many names.
FLOODS = {
    "nothing": (nothing, "nothing"),
    "junk": (junk_in_fields_of_others, "junk in the fields of others"),
    "field": (field_of_200_mb, "fields of 200 MB"),
    "small": (small_junk, "1,000 entries of junk a second"),
    "large": (large_entries, "40 entries of 50 MB"),
    "unread": (unread_streams, "6,000 streams that nobody reads"),
    "idle": (idle_clients, "1,000 idle actors"),
    "names": (invented_names, "6,000 invented names"),
}


class KeptUp:
    """Repeats what a flood must write again, in a thread, from its creation to `close`."""

    def __init__(self, again: Callable[[], None]) -> None:
        self._over, self._again = threading.Event(), again
        again()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(_AGAIN_S):
            self._again()

    def close(self) -> None:
        """Write no more."""
        self._over.set()
        self._thread.join()


def clean_up(run: BenchmarkRun, server: Server, honest: set[bytes]) -> None:
    """Remove what a flood has written: all names but the honest ones.

    Streams are emptied and not deleted, which no actor may do: entries in the learner's hands stay pending.
    """
    emptying = (("trajectories", ("XTRIM", "MAXLEN", 0)), ("actors", ("UNLINK",)), ("incarnation", ("UNLINK",)))
    for kind, (command, *arguments) in emptying:
        found = server.call("KEYS", KEYS.pattern(kind))
        server.pipeline([(command, key, *arguments) for key in found if key.rpartition(b":")[2] not in honest])
    names = [name for name in server.call("HKEYS", KEYS.roster) if name not in honest]
    for at in range(0, len(names), 1000):
        server.call("HDEL", KEYS.roster, *names[at : at + 1000])
    run.next_commit()


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a run is in a window."""

    per_second: float  # steps
    per_cpu_second: float  # steps, of learner and server together: hardly depends on what else the machine does


def speed(run: BenchmarkRun, seconds: float) -> Speed:
    """Measure for some seconds. With one look at all actors, which takes the server longer than the flood does."""
    window = run.window(seconds, look_every_s=seconds)
    return Speed(window.steps_per_second, window.steps_per_second / (window.cores["learner"] + window.cores["server"]))


def measure(kind: str, floods: list[str], seconds: float) -> tuple[list[Speed], dict[str, Speed], float]:
    """One round.

    Returns:
        The speeds without a flood, one more than there are floods; the speed beside each flood; and the largest memory
        of the learner, in MB.
    """
    game = ["--game", "CartPole-v1"]
    with BenchmarkRun(game, [*game, "--actors", "1"], kind) as run:
        run.warm_up(_WARM_UP_S)
        honest = set(run.server.call("HKEYS", run.keys.roster))
        without, beside, peak_mb = [speed(run, seconds)], {}, 0.0
        for name in floods:
            kept_up = KeptUp(FLOODS[name][0](connect_to(run)))
            beside[name] = speed(run, seconds)
            peak_mb = max(peak_mb, run.memory_mb("learner"))
            kept_up.close()
            clean_up(run, run.server, honest)
            time.sleep(_SETTLE_S)
            without.append(speed(run, seconds))
    return without, beside, peak_mb


def connect_to(run: BenchmarkRun) -> Server:
    """A connection of a flood's own, as its thread uses it."""
    return Server(run.url, timeout_s=60.0)


@click.command()
@click.argument("floods", nargs=-1, type=click.Choice(list(FLOODS)))
@click.option("--server", "servers", multiple=True, default=("Redis", "Valkey"), show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=8.0, show_default=True, help="Of each window.")
def main(floods: tuple[str, ...], servers: tuple[str, ...], rounds: int, seconds: float) -> None:
    """Measure and print the results."""
    on_cores(2)
    chosen = [name for name in FLOODS if name in (floods or FLOODS)]
    for kind in servers:
        found = [measure(kind, chosen, seconds) for _ in range(rounds)]
        usual = statistics.median(each.per_second for without, *_ in found for each in without)
        detail: dict[str, object] = {"steps_per_second_without": round(usual), "peak_mb": max(mb for *_, mb in found)}
        for at, name in enumerate(chosen):
            pairs = [(beside[name], without[at], without[at + 1]) for without, beside, _ in found]
            rates = [2 * now.per_second / (before.per_second + after.per_second) for now, before, after in pairs]
            Result(f"rate beside {FLOODS[name][1]}, {kind}", rates, "x", TARGET, detail=detail).emit()
            by_cpu = [2 * now.per_cpu_second / (one.per_cpu_second + other.per_cpu_second) for now, one, other in pairs]
            Result(f"steps per CPU second beside {FLOODS[name][1]}, {kind}", by_cpu, "x", TARGET).emit()


if __name__ == "__main__":
    main()
