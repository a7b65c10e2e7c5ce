"""What is learnt by default, over a list of games that no default knows by name.

    pip install '.[suite]' '.[minatar]'
    python benchmarks/suite.py run --seeds 2 --share 0.33           # candidates
    python benchmarks/suite.py run --seeds 2 --share 0.33 -- --n-epochs 8   # with settings
    python benchmarks/suite.py run --seeds 5                        # the whole table: hours; goes on where it stopped
    python benchmarks/suite.py table

Each run is `broodmind up --game suite_games:game_NN` from the folder of that module. Its last version and the best by
its own evaluations then play a hundred games that were not used before, with the most probable actions. The results are
lines of JSON in suite_results.jsonl; a run that stands there is not repeated. A random policy is measured first.

A score is (return - random) / (reference - random). The interquartile mean over all runs and its 95 % interval (a
bootstrap over the seeds of each game) are those of Agarwal et al. 2021, arXiv 2108.13264.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from suite_rows import ROWS, Row

from broodmind.actors.games.registry import make_game
from broodmind.common.actions import Box, MultiDiscrete

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broodmind.actors.games.vector_game import VectorGame

HERE = Path(__file__).parent
RESULTS = HERE / "suite_results.jsonl"
EPISODES, RANDOM_EPISODES = 100, 200
SOLVED_OF_OPTIMUM = 0.97  # of an optimum or a limit, less two standard errors
RESAMPLES = 2000


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of results; none if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write(path: Path, line: dict[str, Any]) -> None:
    """Append one line."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def commit() -> str:
    """The commit that is measured, with a mark if files were changed since."""
    described = subprocess.run(
        ["git", "describe", "--always", "--abbrev=10", "--dirty", "--exclude=*"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=True,
    )
    return described.stdout.strip()


def random_returns(row: Row, episodes: int) -> list[float]:
    """The returns, or wins, of the first `episodes` games of 20 copies that a uniformly random policy plays."""
    name = f"{row.factory}@{row.against}" if row.against else row.factory
    copies = 20
    game: VectorGame = make_game(name, copies)
    rng, spec = np.random.default_rng(0), game.spec.actions
    step, total, per_copy = game.reset(0), np.zeros(copies), [[] for _ in range(copies)]
    while min(map(len, per_copy)) < episodes / copies:  # as many of each copy: else short games would count for more
        step = game.step(random_actions(spec, step.masks, copies, rng))
        total += step.rewards
        for copy in np.flatnonzero(step.terminated | step.truncated):
            per_copy[copy].append(float(step.wins[copy]) if row.against else float(total[copy]))
            total[copy] = 0.0
    game.close()
    return [value for values in per_copy for value in values[: -(-episodes // copies)]]


def random_actions(spec: Any, masks: np.ndarray | None, copies: int, rng: np.random.Generator) -> np.ndarray:  # noqa: ANN401
    """Uniform actions of each copy, from those that are legal."""
    if isinstance(spec, Box):
        return rng.uniform(spec.low, spec.high, (copies, *spec.shape)).astype(np.float32)
    if isinstance(spec, MultiDiscrete):
        return rng.integers(spec.sizes, size=(copies, len(spec.sizes)))
    if masks is None:
        return rng.integers(spec.n, size=copies)
    return np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])


def train(row: Row, seed: int, share: float, options: tuple[str, ...]) -> dict[str, Any]:
    """One run of `broodmind up`, as a line of results."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as out:
        command = [
            *("broodmind", "up", "--game", row.factory, "--max-steps", str(int(row.steps * share))),
            *("--seed", str(seed), "--eval-episodes", str(EPISODES), "--json", "--out", out, *options),
        ]
        done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise click.ClickException(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-3000:]}")
        summary = json.loads(done.stdout)
        metrics = read(Path(out) / "metrics.jsonl")
    learnt = [(each["steps"], each["return_mean"]) for each in metrics if each["return_mean"] is not None]
    return {
        "last": graded(row, summary, "evaluation"),
        "best": graded(row, summary, "evaluation_best"),
        "training": summary["return_mean"],
        "goal_at": next((at for at, value in learnt if row.goal is not None and value >= row.goal), None),
        "steps": summary["env_steps"],
        "seconds": summary["seconds"],
    }


def graded(row: Row, summary: dict[str, Any], which: str) -> dict[str, float]:
    """Mean and standard deviation of the returns of one evaluation, or of the wins against the row's player."""
    if not row.against:
        return {name: summary[which][name] for name in ("mean", "std")}
    plural = {"evaluation": "evaluations", "evaluation_best": "evaluations_best"}[which]
    played = summary[plural][f"{row.factory}@{row.against}"]
    won = played["wins"] / played["episodes"]
    return {"mean": won, "std": (won * (1 - won)) ** 0.5}


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Over the last axis: the mean of the middle half of the values, with the values at its ends counted in part."""
    ordered, count = np.sort(scores, axis=-1), scores.shape[-1]
    ends = np.arange(count + 1) / count
    part = np.clip(np.minimum(ends[1:], 0.75) - np.maximum(ends[:-1], 0.25), 0, None)
    return (ordered * part).sum(axis=-1) / part.sum()


def interval(scores: list[list[float]]) -> tuple[float, float, float]:
    """The interquartile mean of all runs, and the 95 % interval of a bootstrap over the runs of each row."""
    rng = np.random.default_rng(0)
    resampled = np.concatenate(
        [np.array(each)[rng.integers(len(each), size=(RESAMPLES, len(each)))] for each in scores], axis=1
    )
    low, high = np.percentile(interquartile_mean(resampled), [2.5, 97.5])
    return float(interquartile_mean(np.concatenate([np.array(each) for each in scores]))), float(low), float(high)


def reached(row: Row, last: float, std: float, random: float) -> bool:
    """Whether a row's median return counts as learnt."""
    assert row.reference is not None
    if not row.optimum:
        return row.score(last, random) >= 1
    error = 2 * std / EPISODES**0.5 / abs(row.reference - random)
    return row.score(last, random) >= SOLVED_OF_OPTIMUM - error


@click.group()
def main() -> None:
    """Learning over a list of games."""


@main.command()
@click.option("--seeds", default=5, show_default=True, help="Seeds 1 to this one.")
@click.option("--share", default=1.0, show_default=True, help="Share of each row's steps.")
@click.option("--rows", default="", help="Numbers of rows, with commas between them; all by default.")
@click.option("--minutes", default=170.0, show_default=True, help="Begin no further run after this time.")
@click.option("--results", default=RESULTS, type=click.Path(path_type=Path), help="File of the results.")
@click.argument("options", nargs=-1)
def run(seeds: int, share: float, rows: str, minutes: float, results: Path, options: tuple[str, ...]) -> None:
    """Train what does not stand in the results yet. OPTIONS, after --, are those of `broodmind up`."""
    wanted = [row for row in ROWS if not rows or str(row.number) in rows.split(",")]
    have, start, measured = read(results), time.monotonic(), commit()
    for row in wanted:
        if not any(line["row"] == row.number and line["kind"] == "random" for line in have):
            values = random_returns(row, RANDOM_EPISODES)
            write(results, {"kind": "random", "row": row.number, "mean": statistics.fmean(values)})
    for seed in range(1, seeds + 1):
        for row in wanted:
            key = {"kind": "run", "row": row.number, "seed": seed, "share": share, "options": list(options)}
            if any(key.items() <= line.items() for line in have):
                continue
            if time.monotonic() - start > minutes * 60:
                raise click.ClickException(f"{minutes:g} minutes are over; the same command goes on from here")
            line = {**key, "commit": measured, **train(row, seed, share, options)}
            write(results, line)
            print(f"{row.title}, seed {seed}: {line['last']['mean']:.6g}, best {line['best']['mean']:.6g}", flush=True)


@main.command()
@click.option("--share", default=1.0, show_default=True)
@click.option("--results", default=RESULTS, type=click.Path(path_type=Path))
@click.argument("options", nargs=-1)
def table(share: float, results: Path, options: tuple[str, ...]) -> None:
    """Print the table of the runs with this share of the steps and these OPTIONS."""
    lines = read(results)
    random = {line["row"]: line["mean"] for line in lines if line["kind"] == "random"}
    scores: list[list[float]] = []
    learnt = kept = 0
    print("| game | steps | seeds | random | reference | last | best | score | reached | last is near best | goal at |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for row in ROWS:
        key = {"kind": "run", "row": row.number, "share": share, "options": list(options)}
        runs = [line for line in lines if key.items() <= line.items()]
        if not runs:
            continue
        last, best, std = (median(runs, *place) for place in (("last", "mean"), ("best", "mean"), ("last", "std")))
        graded = row.reference is not None
        near = last >= best - 0.1 * (best - random[row.number])
        if graded:
            scores.append([row.score(line["last"]["mean"], random[row.number]) for line in runs])
            learnt, kept = learnt + reached(row, last, std, random[row.number]), kept + near
        cells = (
            *(row.title, f"{int(row.steps * share):,}", len(runs), f"{random[row.number]:.4g}"),
            f"{row.reference:g}" if graded else "-",
            *(spread(runs, "last"), spread(runs, "best")),
            f"{statistics.median(scores[-1]):.2f}" if graded else "-",
            ("yes" if reached(row, last, std, random[row.number]) else "no") if graded else "-",
            "yes" if near else "no",
            goals(runs) if row.goal is not None else "-",
        )
        print("|", " | ".join(map(str, cells)), "|")
    if scores:
        middle, low, high = interval(scores)
        least = min(map(statistics.median, scores))
        print(f"\nReached: {learnt} of {len(scores)} rows. Lowest score of a row: {least:.2f}.", end=" ")
        print(f"Interquartile mean {middle:.3f} (95 % interval {low:.3f} to {high:.3f}).", end=" ")
        print(f"Last is near best: {kept} of {len(scores)}. Commits: {', '.join(commits(lines, share, options))}.")


def median(runs: Iterable[dict[str, Any]], part: str, name: str) -> float:
    """The median over runs of one figure of an evaluation."""
    return statistics.median(line[part][name] for line in runs)


def spread(runs: list[dict[str, Any]], part: str) -> str:
    """Median, and range where there are several."""
    means = [line[part]["mean"] for line in runs]
    text = f"{statistics.median(means):.4g}"
    return f"{text} ({min(means):.4g} to {max(means):.4g})" if len(means) > 1 else text


def goals(runs: list[dict[str, Any]]) -> str:
    """At how many steps the training return first was the row's goal: the median of the seeds that came to it."""
    steps = [line["goal_at"] for line in runs if line["goal_at"] is not None]
    return f"{statistics.median(steps):,.0f} ({len(steps)} of {len(runs)})" if steps else f"0 of {len(runs)}"


def commits(lines: list[dict[str, Any]], share: float, options: tuple[str, ...]) -> list[str]:
    """The commits that were measured."""
    key = {"kind": "run", "share": share, "options": list(options)}
    return sorted({line["commit"] for line in lines if key.items() <= line.items()})


if __name__ == "__main__":
    sys.exit(main())
