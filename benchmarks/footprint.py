"""The memory that a run needs, and the disk space of an actor's installation.

    python benchmarks/footprint.py

Memory: the largest sum of resident memory (RSS) of all processes of `broodmind up` on CartPole-v1 (server, learner, two
actors, the parent process) in some seconds, including its evaluation. Shared pages, such as those of Python and numpy,
count in each process. The detail has the sum in which each page counts once (PSS, Linux only), and the number that
`broodmind up` reports itself, without the evaluation. Sampled four times a second. An MB is a million bytes.

Disk: the wheel of this source tree, installed with only its requirements into a new virtual environment, which is all
that an actor needs. The result is the size of all files in its site-packages, without pip and setuptools.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click
import psutil
from results import Result
from up_runs import up
from virtual_environments import make

ROOT = Path(__file__).parents[1]
EVERY_S = 0.25
NOT_COUNTED = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")  # venv's own


class Memory(threading.Thread):
    """Samples the memory of all child processes of this one, until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self.peak_mb = {"rss": 0.0, "pss": 0.0}
        self.processes = 0

    def run(self) -> None:
        """Sample until stopped."""
        while not self._over.wait(EVERY_S):
            sums, seen = dict.fromkeys(self.peak_mb, 0.0), 0
            for process in psutil.Process().children(recursive=True):
                try:
                    found = process.memory_full_info()
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
                seen += 1
                for name in sums:
                    sums[name] += getattr(found, name) / 1e6
            self.processes = max(self.processes, seen)
            self.peak_mb = {name: max(peak, sums[name]) for name, peak in self.peak_mb.items()}

    def stop(self) -> None:
        """Stop, and wait for the thread."""
        self._over.set()
        self.join()


def memory(seconds: float, seed: int) -> tuple[Memory, dict]:
    """The memory of one run, and its summary."""
    watch = Memory()
    watch.start()
    try:
        summary = up("--game", "CartPole-v1", "--max-seconds", str(seconds), "--seed", str(seed))
    finally:
        watch.stop()
    return watch, summary


def installed_mb() -> dict[str, float]:
    """Megabytes of each top-level entry in the site-packages of a new environment, without pip and setuptools."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(ROOT)]
        subprocess.run(wheel, check=True, stdout=sys.stderr)
        (built,) = Path(folder).glob("*.whl")
        make(Path(folder) / "venv", str(built))
        (packages,) = (Path(folder) / "venv").glob("lib/python*/site-packages")
        ours = [each for each in packages.iterdir() if not each.name.startswith(NOT_COUNTED)]
        return {each.name: size_mb(each) for each in ours}


def size_mb(path: Path) -> float:
    """Megabytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir()) / 1e6


@click.command()
@click.option("--seconds", default=10.0, show_default=True, help="Of each run.")
@click.option("--runs", default=3, show_default=True)
def main(seconds: float, runs: int) -> None:
    """Measure and print the results."""
    seen = [memory(seconds, seed) for seed in range(1, runs + 1)]
    detail = {
        "pss_mb": max(watch.peak_mb["pss"] for watch, _ in seen),
        "said_mb": max(summary["peak_memory_mb"] for _, summary in seen),
        "processes": max(watch.processes for watch, _ in seen),
    }
    Result(
        "memory of a run", [watch.peak_mb["rss"] for watch, _ in seen], "MB", 250, at_most=True, detail=detail
    ).emit()
    sizes = installed_mb()
    largest = dict(sorted(sizes.items(), key=lambda each: -each[1])[:6])
    Result("an actor's installation", [sum(sizes.values())], "MB", 100, at_most=True, detail=largest).emit()


if __name__ == "__main__":
    main()
