"""Runs all speed benchmarks, one script after another.

    make bench                                                # or: python benchmarks/bench.py
    python benchmarks/bench.py wire commit --out results.jsonl

Each script runs in a process of its own and prints its results as JSON, one a line. They are copied to standard output,
and to a file if one is given. At the end a Markdown table is printed to standard error. If a script fails, the others
still run, and the exit code is 1. The comparison with other libraries (`peers`) takes long and installs them; it runs
only if it is named.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
from results import Result, parse_result

HERE = Path(__file__).parent
SCRIPTS = (
    "wire",
    "commit",
    "update",
    "original",
    "footprint",
    "cartpole",
    "throughput",
    "scaling",
    "many_actors",
    "floods",
)


def run(script: str, out: Path | None) -> tuple[list[Result], int]:
    """One script's results, as it prints them, and its exit code."""
    process = subprocess.Popen([sys.executable, str(HERE / f"{script}.py")], stdout=subprocess.PIPE, text=True)
    results = []
    assert process.stdout is not None
    for line in process.stdout:
        result = parse_result(line)
        if result is None:
            continue
        results.append(result)
        print(line, end="", flush=True)
        if out is not None:
            with out.open("a") as file:
                file.write(line)
    return results, process.wait()


def row(result: Result) -> str:
    """One line of the table."""
    target = "-" if result.target is None else f"{'at most' if result.at_most else 'at least'} {result.target:,.6g}"
    reached = {None: "-", True: "yes", False: "no"}[result.reached]
    spread = f"{min(result.values):,.6g} to {max(result.values):,.6g}"
    return f"| {result.name} | {result.median:,.6g} {result.unit} | {spread} | {target} | {reached} |"


def machine() -> str:
    """A description of the machine and the package versions."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "redis", "msgpack", "gymnasium"))
    system = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return f"{system}, Python {platform.python_version()}, {packages}"


@click.command()
@click.argument("scripts", nargs=-1, type=click.Choice([*SCRIPTS, "peers"]))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file that the results are added to.")
def main(scripts: tuple[str, ...], out: Path | None) -> None:
    """Measure everything."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in Broodmind's processes
    table: list[Result] = []
    failed = []
    for script in scripts or SCRIPTS:
        results, code = run(script, out)
        table += results
        if code:
            failed.append(script)
    print(f"\n{machine()}\n\n| result | median | range | target | reached |\n|---|---|---|---|---|", file=sys.stderr)
    for result in table:
        print(row(result), file=sys.stderr)
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
