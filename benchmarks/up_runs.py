"""Runs of `broodmind up`, and the figures of several."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile

import click


def up(*options: str) -> dict:
    """One `broodmind up` with these options; its summary, which is printed on standard error too."""
    with tempfile.TemporaryDirectory() as out:
        command = ["broodmind", "up", *options, "--out", out, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 10}:  # 10: not solved within its steps, which is a result too
        raise click.ClickException(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    summary = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps({"options": options, **summary}), file=sys.stderr, flush=True)
    return summary


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):,.6g} ({min(values):,.6g} to {max(values):,.6g})"
