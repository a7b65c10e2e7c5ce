"""The cost of staleness: steps to solve CartPole-v1 with fresh data, and with data that is four versions old.

    python benchmarks/staleness.py

In lock-step the staleness is exact: each actor waits for each version and plays with the one four before it. REINFORCE
plays whole games and has no lock-step: its staleness is at least four. Prints a Markdown table with the median steps
over the seeds and the range; a run that did not solve the game counts with all its steps.
"""

from __future__ import annotations

import statistics

import click
from up_runs import spread, up

GOAL = ("--game", "CartPole-v1", "--until-return", "475", "--eval-episodes", "5")
EXACT = ("--lock-step", "--max-staleness", "{behind}", "--policy-lag", "{behind}")
AT_LEAST = ("--envs", "16", "--max-staleness", "16", "--policy-lag", "{behind}")
ALGORITHMS = {
    "V-trace": ("--algo", "vtrace", *EXACT),
    "PPO, decoupled": ("--algo", "ppo", "--decoupled", *EXACT),
    "PPO": ("--algo", "ppo", *EXACT),
    "IMPACT": ("--algo", "impact", *EXACT),
    "REINFORCE, no correction": ("--algo", "reinforce", "--importance", "none", *AT_LEAST),
    "REINFORCE, weights of each step": ("--algo", "reinforce", *AT_LEAST),
}


@click.command()
@click.option("--seeds", default=3, show_default=True)
@click.option("--max-steps", default=600_000, show_default=True)
@click.option("--behind", default=4, show_default=True)
def main(seeds: int, max_steps: int, behind: int) -> None:
    """Measure and print the table."""
    print(f"| algorithm | fresh | solved | {behind} versions behind | solved | ratio of medians |")
    print("|---|---|---|---|---|---|")
    for name, options in ALGORITHMS.items():
        row, medians = [], []
        for lag in (0, behind):
            chosen = [option.format(behind=lag) for option in options]
            common = (*GOAL, "--max-steps", str(max_steps))
            runs = [up(*common, "--seed", str(seed), *chosen) for seed in range(1, seeds + 1)]
            steps = [each["env_steps"] for each in runs]
            medians.append(statistics.median(steps))
            row += [spread(steps), f"{sum(each['solved'] for each in runs)} of {seeds}"]
        print(f"| {name} | {' | '.join(row)} | {medians[1] / medians[0]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
