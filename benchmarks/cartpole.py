"""The time in which `broodmind up` solves CartPole-v1.

    python benchmarks/cartpole.py --seeds 5

One run with default settings for each seed, with a real server and separate processes, until the mean return of the
last 100 training games is 475. The seconds are from process start, as the run reports them.
"""

from __future__ import annotations

import click
from results import Result
from up_runs import up

GAME, GOAL, MAX_STEPS = "CartPole-v1", 475, 150_000
MEDIAN_S, LONGEST_S = 3.0, 6.0


@click.command()
@click.option("--seeds", default=5, show_default=True)
def main(seeds: int) -> None:
    """Measure and print the results."""
    options = ("--game", GAME, "--until-return", str(GOAL), "--max-steps", str(MAX_STEPS))
    runs = [up(*options, "--seed", str(seed)) for seed in range(1, seeds + 1)]
    detail = {
        "solved": sum(run["solved"] for run in runs),
        "seeds": seeds,
        "steps": [run["env_steps"] for run in runs],
        "peak_memory_mb": max(run["peak_memory_mb"] for run in runs),
    }
    seconds = [run["seconds"] for run in runs]
    Result(f"{GAME} solved, from process start", seconds, "s", MEDIAN_S, at_most=True, detail=detail).emit()
    Result(f"{GAME} solved, the slowest seed", [max(seconds)], "s", LONGEST_S, at_most=True).emit()


if __name__ == "__main__":
    main()
