"""The learning curve of a run as a picture, over all its starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .run_folder import read_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .run_folder import RunFolder

_POINTS = 2000  # about as many as the picture has columns


def draw_run(folder: RunFolder, title: str) -> Path | None:
    """Draw curve.png in a run's folder.

    Returns:
        Its path; None if there is nothing to draw, or matplotlib is not installed, which is part of broodmind[watch].
    """
    updates = sample_of(folder.metrics)
    if not any(line.get("return_mean") is not None for line in updates):
        return None
    try:
        draw(folder.curve, title, updates, read_lines(folder.evaluations))
    except ModuleNotFoundError:
        return None
    return folder.curve


def sample_of(path: Path, points: int = _POINTS) -> list[dict[str, Any]]:
    """Objects of a file of lines of JSON: all of them, or every second, fourth, ... and the last.

    Returns:
        At most twice as many as `points`, and the last one. A file of any length needs no more memory than that.
    """
    kept: list[bytes] = []
    every, last = 1, b""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file):
                last = line
                if number % every == 0:
                    kept.append(line)
                    if len(kept) > 2 * points:
                        kept, every = kept[::2], 2 * every
    except FileNotFoundError:
        return []
    if kept and kept[-1] is not last:
        kept.append(last)
    return [found for line in kept if isinstance(found := _decoded(line), dict)]


def draw(path: Path, title: str, updates: Sequence[dict[str, Any]], evaluations: Sequence[dict[str, Any]]) -> None:
    """Write a picture of return, evaluations, wins and staleness against trained steps.

    Args:
        path: of the picture.
        title: above it.
        updates: lines of metrics.jsonl.
        evaluations: lines of evaluations.jsonl.
    """
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, height_ratios=(3, 1))
    top.plot(*_points(updates, "return_mean"), color="tab:blue", label="mean return, last 100 games")
    if (evaluated := _points(evaluations, "mean"))[0]:
        top.plot(*evaluated, "o-", color="tab:red", markersize=3, linewidth=1, label="greedy evaluation")
    figure.suptitle(title)
    top.set_ylabel("return")
    top.grid(alpha=0.3)
    shown = top.get_lines()
    if (won := _points(updates, "win_rate"))[0]:
        wins = top.twinx()
        shown = [*shown, *wins.plot(*won, color="tab:green", label="wins")]
        wins.set_ylim(0, 1)
        wins.set_ylabel("win rate")
    # Above the axes: inside, it would cover a curve somewhere.
    top.legend(handles=shown, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    bottom.plot(*_points(updates, "staleness_p95"), color="tab:orange")
    bottom.set_ylabel("staleness p95\n(versions)")
    bottom.set_xlabel("trained steps")
    bottom.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _points(lines: Sequence[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """The steps and the values of those lines that have a value of this name."""
    having = [line for line in lines if line.get(name) is not None and "steps" in line]
    return [line["steps"] for line in having], [line[name] for line in having]


def _decoded(line: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(line)
    except ValueError:
        return None
