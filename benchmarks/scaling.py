"""How a run scales with its actors and with its network, and whether its learner's memory grows with time.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --rounds 3 --seconds 10 --memory-seconds 600

Measures trained steps per second, backlog, lag and staleness with 1, 2, 4 and 8 actor processes of 64 games and a
network of 64 and 64, and with one actor and networks with two layers of 64, 256 and 1,024. A batch is one fragment of
32 steps from each actor, as with `broodmind up`; V-trace, CartPole-v1, everything on the same two cores. There one
actor already plays faster than the learner learns: more actors cannot make the run faster, and must not make it slower.
The configurations are measured in turn, each round with new runs. The learner's memory is sampled four times a second
in a run of two actors of 32 games; the result is the ratio of its median in the last third of the time to that in the
first, after the warm-up. Prints Markdown tables to standard error.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass

import click
from benchmark_run import BenchmarkRun, Window, on_cores
from results import Result
from up_runs import spread

from broodmind.common.spec import RolloutSpec

ACTORS = (1, 2, 4, 8)
NETWORKS = ("64,64", "256,256", "1024,1024")
ENVS = 64
MEMORY = (2, 32)  # actors and games in each
GROWTH = 1.05  # the largest ratio that counts as constant: garbage is collected at irregular times
STALENESS = 4.0


@dataclass(frozen=True, slots=True)
class Setup:
    """The configuration of one run."""

    actors: int = 1
    hidden: str = "64,64"
    envs: int = ENVS

    def live(self) -> BenchmarkRun:
        """Start the run."""
        batch = str(self.actors * self.envs * RolloutSpec().fragment_length)
        learner = ("--game", "CartPole-v1", "--algo", "vtrace", "--hidden", self.hidden, "--batch-steps", batch)
        return BenchmarkRun(learner, ("--game", "CartPole-v1", "--actors", str(self.actors), "--envs", str(self.envs)))

    def measure(self, warm_up: float, seconds: float) -> Window:
        """Measure a new run for some seconds after a warm-up."""
        with self.live() as live:
            live.warm_up(warm_up)
            window = live.window(seconds)
        print(f"{self}: {window.steps_per_second:,.0f} steps/s, {window.detail()}", file=sys.stderr, flush=True)
        return window


def emit(what: str, value: object, setup: Setup, windows: list[Window]) -> str:
    """Print the results of one configuration. Returns its row of the table."""
    detail = {
        "actors": setup.actors,
        "hidden": setup.hidden,
        "envs": setup.envs,
        "runs": [window.detail() for window in windows],
    }
    where = f"{what} {value}"
    rates = [window.steps_per_second for window in windows]
    stale = [window.staleness_p95 for window in windows]
    backlog, lag = ([round(statistics.mean(getattr(each, name)), 2) for each in windows] for name in ("backlog", "lag"))
    Result(f"steps/s, {where}", rates, "steps/s", detail=detail).emit()
    Result(f"backlog, {where}", backlog, "entries").emit()
    Result(f"lag, {where}", lag, "entries").emit()
    Result(f"staleness p95, {where}", stale, "versions", STALENESS, at_most=True).emit()
    cores = statistics.median(window.cores["learner"] for window in windows)
    return f"| {value} | {spread(rates)} | {spread(backlog)} | {spread(lag)} | {spread(stale)} | {cores:.2f} |"


def memory_over_time(warm_up: float, seconds: float) -> list[float]:
    """The learner's resident memory in megabytes, four times a second."""
    actors, envs = MEMORY
    with Setup(actors=actors, envs=envs).live() as live:
        live.warm_up(warm_up)
        samples, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            samples.append(live.memory_mb("learner"))
            time.sleep(0.25)
        live.next_commit()  # raises if the run has stopped making progress
    return samples


@click.command()
@click.option("--rounds", default=2, show_default=True)
@click.option("--warm-up", default=2.0, show_default=True, help="Seconds after the first update.")
@click.option("--seconds", default=4.0, show_default=True, help="Of each measurement.")
@click.option("--memory-seconds", default=30.0, show_default=True, help="Of the run whose memory is looked at.")
def main(rounds: int, warm_up: float, seconds: float, memory_seconds: float) -> None:
    """Measure, and print results and tables."""
    on_cores(2)
    setups = list(dict.fromkeys([*(Setup(actors=each) for each in ACTORS), *(Setup(hidden=each) for each in NETWORKS)]))
    windows: dict[Setup, list[Window]] = {setup: [] for setup in setups}
    for _ in range(rounds):
        for setup in setups:
            windows[setup].append(setup.measure(warm_up, seconds))
    by_actors = {each: Setup(actors=each) for each in ACTORS}
    by_network = {each: Setup(hidden=each) for each in NETWORKS}
    tables = []
    for what, chosen in (("actors", by_actors), ("network", by_network)):
        tables += [
            "",
            f"| {what} | steps/s | backlog | lag | staleness p95 | learner's cores |",
            "|---|---|---|---|---|---|",
        ]
        tables += [emit(what, value, setup, windows[setup]) for value, setup in chosen.items()]
    samples = memory_over_time(warm_up, memory_seconds)
    third = len(samples) // 3
    first, last = statistics.median(samples[:third]), statistics.median(samples[-third:])
    detail = {"first_mb": first, "last_mb": last, "highest_mb": max(samples), "seconds": memory_seconds}
    Result("learner's memory, last third to first", [last / first], "x", GROWTH, at_most=True, detail=detail).emit()
    tables += ["", "| learner's memory, MB | first third | last third | highest |", "|---|---|---|---|"]
    tables.append(f"| median | {first:.1f} | {last:.1f} | {max(samples):.1f} |")
    print("\n".join(tables), file=sys.stderr)


if __name__ == "__main__":
    main()
