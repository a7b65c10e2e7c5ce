"""The sustained rate of trained steps of a whole run on two cores, and their staleness.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --algo vtrace --rounds 1 --envs 128 --fragment-length 64

A server, `broodmind learner` and `broodmind actors`, each a process of its own, all on the same two cores, with
CartPole-v1 and a network of 64 and 64. The rate is measured between two commits at least ten seconds apart, after some
seconds of warm-up, with the run's counters in Redis: start-up and rejected steps do not count. The staleness is that of
the steps trained on; the detail has the fraction of rejected entries. The algorithms run in turn, each round with new
runs. Options that are not listed here are passed to `broodmind learner`.
"""

from __future__ import annotations

import sys

import click
from benchmark_run import BenchmarkRun, Window, on_cores
from results import Result

from broodmind.common.spec import RolloutSpec

TARGETS = {"vtrace": 300_000.0, "ppo": 150_000.0}
STALENESS = 4.0


def measure(algo: str, actors: int, envs: int, extra: tuple[str, ...], warm_up: float, seconds: float) -> Window:
    """One run."""
    # A batch is one fragment from each actor, as with `broodmind up`.
    fragments = actors * envs * RolloutSpec().fragment_length
    learner = ("--game", "CartPole-v1", "--algo", algo, "--hidden", "64,64", "--batch-steps", str(fragments), *extra)
    with BenchmarkRun(learner, ("--game", "CartPole-v1", "--actors", str(actors), "--envs", str(envs))) as live:
        live.warm_up(warm_up)
        window = live.window(seconds)
    print(f"{algo}: {window.steps_per_second:,.0f} steps/s, {window.detail()}", file=sys.stderr, flush=True)
    return window


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("extra", nargs=-1)
@click.option("--algo", "algos", multiple=True, default=tuple(TARGETS), type=click.Choice(list(TARGETS)))
@click.option("--actors", default=1, show_default=True)
@click.option("--envs", default=256, show_default=True, help="Games side by side in each actor.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--warm-up", default=3.0, show_default=True, help="Seconds after the first update.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each measurement.")
def main(
    extra: tuple[str, ...],
    algos: tuple[str, ...],
    actors: int,
    envs: int,
    rounds: int,
    warm_up: float,
    seconds: float,
) -> None:
    """Measure and print the results."""
    cores = on_cores(2)
    windows: dict[str, list[Window]] = {algo: [] for algo in algos}
    for _ in range(rounds):
        for algo in algos:
            windows[algo].append(measure(algo, actors, envs, extra, warm_up, seconds))
    for algo, each in windows.items():
        detail = {
            "game": "CartPole-v1",
            "hidden": "64,64",
            "machine_cores": cores,
            "actors": actors,
            "envs": envs,
            "learner_options": list(extra),
            "runs": [window.detail() for window in each],
        }
        rates = [window.steps_per_second for window in each]
        stale = [window.staleness_p95 for window in each]
        Result(f"sustained steps/s, {algo}", rates, "steps/s", TARGETS[algo], detail=detail).emit()
        Result(f"staleness p95 at that rate, {algo}", stale, "versions", STALENESS, at_most=True).emit()


if __name__ == "__main__":
    main()
