"""The steps and seconds that it takes to solve games, with default settings and a real server.

    python benchmarks/solve.py                        # every game below, three seeds each
    python benchmarks/solve.py CartPole-v1 --seeds 5  # one of them
    python benchmarks/solve.py --decoupled              # any other option goes to `broodmind up`

Each run is a `broodmind up` of its own; the time is from process start, as it reports. Prints a Markdown table with the
median and the range over the seeds, and each run as JSON to standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import click
from up_runs import spread, up


@dataclass(frozen=True, slots=True)
class Task:
    """A game, the mean return of 100 games at which it counts as solved, and the steps it may take.

    In Taxi good games are short, so the last hundred training games to end are better than the average. Therefore it is
    trained for all its steps, and the evaluation decides (`by_evaluation`).
    """

    game: str
    goal: float
    max_steps: int
    by_evaluation: bool = False


TASKS = [
    Task("TinyZerg", 0.95, 1_000_000),
    Task("CartPole-v1", 475, 150_000),
    Task("Acrobot-v1", -100, 1_000_000),
    Task("LunarLander-v3", 200, 3_000_000),
    Task("Pendulum-v1", -250, 1_000_000),
    Task("MountainCarContinuous-v0", 90, 1_000_000),
    Task("MinAtar/Breakout-v1", 8, 3_000_000),
    Task("Taxi-v4", 7, 750_000, by_evaluation=True),
]


def run(task: Task, seed: int, extra: list[str]) -> dict:
    """One run; its summary."""
    goal = [] if task.by_evaluation else ["--until-return", str(task.goal)]
    summary = up("--game", task.game, "--seed", str(seed), "--max-steps", str(task.max_steps), *goal, *extra)
    if task.by_evaluation:
        summary["solved"] = summary["evaluation"]["mean"] >= task.goal
    return summary


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1)
@click.option("--seeds", default=3, show_default=True)
def main(arguments: tuple[str, ...], seeds: int) -> None:
    """Measure and print the table."""
    names = {task.game for task in TASKS}
    wanted = [argument for argument in arguments if argument in names] or names
    extra = [argument for argument in arguments if argument not in names]
    print("| game | goal | solved | steps | seconds | steps/s | greedy evaluation | MB |")
    print("|---|---|---|---|---|---|---|---|")
    for task in TASKS:
        if task.game not in wanted:
            continue
        runs = [run(task, seed, extra) for seed in range(1, seeds + 1)]
        solved = sum(each["solved"] for each in runs)
        columns = [spread([each[name] for each in runs]) for name in ("env_steps", "seconds", "steps_per_second")]
        evaluation = spread([each["evaluation"]["mean"] for each in runs])
        memory = max(each["peak_memory_mb"] for each in runs)
        print(
            f"| {task.game} | {task.goal} | {solved} of {seeds} | {' | '.join(columns)} | {evaluation} | {memory} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
