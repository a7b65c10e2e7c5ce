"""Connect four by self-play: how often the policy then beats a random player, and one that looks one move ahead.

    python benchmarks/self_play.py            # three seeds
    python benchmarks/self_play.py --seeds 1 --max-steps 300000

Each run is a `broodmind up` of its own, from random weights; the lookahead player is not used in training. Then the
policy plays a thousand games against each player, with its most probable actions and the first move in half of them.
Prints a Markdown table, and each run as JSON to standard error.
"""

from __future__ import annotations

import click
from up_runs import up

SETTINGS = (
    *("--game", "ConnectFour", "--envs", "128", "--hidden", "128,128", "--activation", "relu"),
    *("--learning-rate", "1e-3", "--entropy-coef", "0.02", "--minibatch-size", "512"),
)
GAMES = 1000
PLAYERS = ("random", "lookahead")


@click.command()
@click.option("--seeds", default=3, show_default=True)
@click.option("--max-steps", default=1_000_000, show_default=True)
def main(seeds: int, max_steps: int) -> None:
    """Measure and print the table."""
    limits = ("--max-steps", str(max_steps), "--eval-episodes", str(GAMES))
    print("| seed | steps | seconds | games | wins against random | wins against lookahead | mean returns |")
    print("|---|---|---|---|---|---|---|")
    for seed in range(1, seeds + 1):
        run = up(*SETTINGS, *limits, "--seed", str(seed))
        played = [run["evaluations"][f"ConnectFour@{player}"] for player in PLAYERS]
        wins = " | ".join(f"{each['wins'] / GAMES:.1%}" for each in played)
        returns = ", ".join(f"{each['mean']:.2f}" for each in played)
        print(
            f"| {seed} | {run['env_steps']:,} | {run['seconds']} | {run['games']:,} | {wins} | {returns} |", flush=True
        )


if __name__ == "__main__":
    main()
