"""Runs `broodmind up` for benchmarks, and formats the results of several runs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile

import click


def up(*options: str) -> dict:
    """Run `broodmind up` with these options. Returns its summary, and prints it to standard error too."""
    with tempfile.TemporaryDirectory() as out:
        command = ["broodmind", "up", *options, "--out", out, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 10}:  # 10: not solved within its steps, which is a valid result
        raise click.ClickException(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    summary = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps({"options": options, **summary}), file=sys.stderr, flush=True)
    return summary


def spread(values: list[float]) -> str:
    """Median and range, as text."""
    return f"{statistics.median(values):,.6g} ({min(values):,.6g} to {max(values):,.6g})"
