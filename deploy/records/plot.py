"""`broodmind plot`: the learning curves of several runs in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...common.errors import ConfigError
from .run_folder import read_lines
from .run_settings import given_to, run_folders, settings_of

if TYPE_CHECKING:
    from .curves import Group

_SHORT = {"return": "return_mean", "length": "length_mean", "wins": "win_rate"}
_LABELS = {"return_mean": "mean return", "length_mean": "mean length", "win_rate": "win rate"}


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--x",
    "across",
    type=click.Choice(["steps", "games", "seconds"]),
    default="steps",
    show_default=True,
    help="What rises.",
)
@click.option(
    "--y",
    "shown",
    default="return",
    show_default=True,
    help="What is shown: return, length, wins, any name in metrics.jsonl, or a metric of the game's own.",
)
@click.option(
    "--smooth",
    type=click.FloatRange(0, 1),
    default=0.02,
    show_default=True,
    help="Window of the moving mean, as a share of the curve.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("curves.png"),
    show_default=True,
    help="The picture; the suffix says its format (png, svg, pdf).",
)
def plot(*, runs: tuple[Path, ...], across: str, shown: str, smooth: float, out: Path) -> None:
    """Draw the learning curves of RUNS: runs' folders, or folders with runs in them.

    Runs with the same settings but for the seed are one curve, their mean, with a band of one sample standard
    deviation, as far as all of them go. Each run is a thin line. Needs broodmind[watch].
    """
    from .curves import curve_of, groups_of, names_in

    name, found, without = _SHORT.get(shown, shown), [], []
    known: dict[str, None] = {}
    folders = run_folders(runs)
    for folder in folders:
        lines = read_lines(folder.metrics)
        curve = curve_of(lines, across, name, smooth)
        known |= dict.fromkeys(names_in(lines[-1]) if lines else ())
        if curve is None:
            without.append(str(folder.path))
        else:
            found.append((str(folder.path), settings_of(folder), curve))
    if not found:
        choices = f"one of {', '.join(known)}" if known else "runs that have recorded metrics"
        raise ConfigError(f"y: {shown!r} is in none of {', '.join(without)}, expected {choices}")
    for path in without:
        click.echo(f"{path}: no two updates with {name}, left out", err=True)
    draw(groups_of(found, given_to(folders)), out, across, _LABELS.get(name, name))
    click.echo(f"written to {out}", err=True)


def draw(groups: list[Group], out: Path, across: str, shown: str) -> None:
    """Draw the curves of groups of runs to a file.

    Raises:
        ConfigError: if matplotlib is missing, or the file cannot be written as a picture.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise ConfigError(
            "plot: matplotlib is missing, expected it installed: pip install 'broodmind[watch]'"
        ) from error
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    try:
        for number, group in enumerate(groups):
            color = f"C{number}"
            if len(group.curves) == 1:
                (curve,) = group.curves
                axes.plot(curve.x, curve.y, color=color, label=group.label)
                continue
            for curve in group.curves:
                axes.plot(curve.x, curve.y, color=color, alpha=0.25, linewidth=0.8)
            x, mean, deviation = group.mean()
            axes.plot(x, mean, color=color, label=group.label)
            axes.fill_between(x, mean - deviation, mean + deviation, color=color, alpha=0.15, linewidth=0)
        axes.set_xlabel({"steps": "trained steps"}.get(across, across))
        axes.set_ylabel(shown)
        axes.grid(alpha=0.3)
        axes.legend()
        figure.tight_layout()
        figure.savefig(out, dpi=120)
    except (OSError, ValueError) as error:
        raise ConfigError(f"out: {str(out)!r}, expected a picture that can be written ({error})") from error
    finally:
        plt.close(figure)
