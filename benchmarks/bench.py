"""All figures of speed, one script after another.

    make bench                                                # or: python benchmarks/bench.py
    python benchmarks/bench.py wire commit --out figures.jsonl

Each script is a process of its own and prints its figures as JSON, one a line; they are passed on to standard output,
and to a file if one is given. At the end comes a Markdown table, on standard error. A script that fails fails all of
it, after the others have run. The comparison with other systems takes long and installs them: it is not among these
unless it is named (`peers`).
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
from figures import Figure, collect

HERE = Path(__file__).parent
SCRIPTS = ("wire", "commit", "update", "original", "footprint", "solved", "throughput", "scaling", "thousand")


def run(script: str, out: Path | None) -> tuple[list[Figure], int]:
    """One script's figures, as it prints them, and its exit code."""
    process = subprocess.Popen([sys.executable, str(HERE / f"{script}.py")], stdout=subprocess.PIPE, text=True)
    figures = []
    assert process.stdout is not None
    for line in process.stdout:
        figure = collect(line)
        if figure is None:
            continue
        figures.append(figure)
        print(line, end="", flush=True)
        if out is not None:
            with out.open("a") as file:
                file.write(line)
    return figures, process.wait()


def row(figure: Figure) -> str:
    """One line of the table."""
    target = "-" if figure.target is None else f"{'at most' if figure.at_most else 'at least'} {figure.target:,.6g}"
    reached = {None: "-", True: "yes", False: "no"}[figure.reached]
    spread = f"{min(figure.values):,.6g} to {max(figure.values):,.6g}"
    return f"| {figure.name} | {figure.median:,.6g} {figure.unit} | {spread} | {target} | {reached} |"


def machine() -> str:
    """What the figures are of."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "redis", "msgpack", "gymnasium"))
    system = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return f"{system}, Python {platform.python_version()}, {packages}"


@click.command()
@click.argument("scripts", nargs=-1, type=click.Choice([*SCRIPTS, "peers"]))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file that the figures are added to.")
def main(scripts: tuple[str, ...], out: Path | None) -> None:
    """Measure everything."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as our processes have it
    table: list[Figure] = []
    failed = []
    for script in scripts or SCRIPTS:
        figures, code = run(script, out)
        table += figures
        if code:
            failed.append(script)
    print(f"\n{machine()}\n\n| figure | median | range | target | reached |\n|---|---|---|---|---|", file=sys.stderr)
    for figure in table:
        print(row(figure), file=sys.stderr)
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
