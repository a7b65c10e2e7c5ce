"""The time that Broodmind and other libraries take to solve CartPole-v1 on this machine.

    python benchmarks/peers.py                                  # three seeds of the default ones
    python benchmarks/peers.py --peers sb3,cleanrl --seeds 1
    python benchmarks/peers.py --peers rllib-appo,rllib-impala  # not among the default ones: they take minutes

Each run is a process of its own. Its seconds are from the start of that process until the mean return of the last 100
training games is 475. For a peer the rule is applied here, to the games that its script in `benchmarks/peers` prints;
for Broodmind the seconds are those that `broodmind up` reports. For each seed all libraries run one after the other,
Broodmind first. A run that does not solve the game counts with its whole duration: the time limit, or the end of the
steps that its settings are for. Before the measurement each runs once, so that its files are in the disk cache.

Prints a result for each run: steps per second since the start of the process, the largest sum of resident memory of all
processes, sampled five times a second (shared pages count in each), and the largest number of processes. Then it prints
the ratio of each peer's seconds to Broodmind's, for each seed. The peers' virtual environments are created in
`build/peers` on first use, a gigabyte each. The head of each script has its settings and their source.

Mathematical libraries get one thread in each process (`--threads`), which is faster for networks of this size.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from processes import watch
from results import Result
from virtual_environments import python_of

GOAL, WINDOW = 475.0, 100
WARM_S = 15.0
SCRIPTS = Path(__file__).parent / "peers"
TORCH = "torch==2.13.0"  # the CPU build is used if pip finds it


@dataclass(frozen=True, slots=True)
class Peer:
    """A library to compare with.

    Args:
        label: its name in the results.
        environment: the name of its virtual environment.
        requirements: what is installed there.
        script: its script in `benchmarks/peers`.
        arguments: arguments of the script, after the seed.
    """

    label: str
    environment: str
    requirements: tuple[str, ...]
    script: str
    arguments: tuple[str, ...] = ()

    def command(self, seed: int) -> list[str]:
        """The command of a run. With -P: on the module path, the script's folder would hide the library."""
        python = python_of(self.environment, *self.requirements)
        return [str(python), "-P", str(SCRIPTS / self.script), str(seed), *self.arguments]


_FACTORY = ("sample_factory", (TORCH, "sample-factory==2.1.1"), "sample_factory.py")
_RAY = ("rllib", (TORCH, "ray[rllib]==2.60.0"), "rllib.py")
PEERS = {
    "sb3": Peer("stable-baselines3 PPO", "sb3", (TORCH, "stable-baselines3==2.9.2"), "sb3.py"),
    "cleanrl": Peer("CleanRL-style PPO", "cleanrl", (TORCH, "gymnasium==1.4.0"), "cleanrl.py"),
    "sample-factory": Peer("Sample Factory APPO", *_FACTORY),
    # Its documented settings use two processes for inference, two for playing and one for learning.
    "sample-factory-1": Peer("Sample Factory APPO, one policy worker", *_FACTORY, ("--policy_workers_per_policy=1",)),
    "rllib": Peer("RLlib PPO", *_RAY, ("ppo",)),
    "rllib-appo": Peer("RLlib APPO", *_RAY, ("appo",)),
    "rllib-impala": Peer("RLlib IMPALA", *_RAY, ("impala",)),
}
DEFAULT = "sb3,cleanrl,sample-factory,sample-factory-1,rllib"


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one run. `steps` were played, or trained on, when its seconds ended."""

    seed: int
    solved: bool
    seconds: float
    steps: int
    steps_per_second: float
    peak_mb: float
    processes: int


def ours(seed: int, limit_s: float) -> Run:
    """A run of `broodmind up`."""
    summary: dict = {}

    def heard(line: str) -> bool:
        summary.update(json.loads(line))
        return False  # it ends by itself

    command = ["broodmind", "up", "--game", "CartPole-v1", "--seed", str(seed), "--until-return", str(GOAL)]
    with tempfile.TemporaryDirectory(prefix="broodmind-", ignore_cleanup_errors=True) as folder:
        out = ("--max-seconds", str(limit_s), "--eval-episodes", "1", "--out", f"{folder}/out", "--json")
        seen = watch([*command, *out], Path(folder), heard, 2 * limit_s)
        if not summary:
            raise click.ClickException(_failed(command, seen.exit_code, Path(folder)))
    steps, seconds = summary["env_steps"], summary["seconds"]
    return Run(seed, summary["solved"], seconds, steps, round(steps / seconds), round(seen.peak_mb), seen.processes)


def of_peer(peer: Peer, seed: int, limit_s: float) -> Run:
    """A run of a peer's script."""
    returns: deque[float] = deque(maxlen=WINDOW)
    steps = 0

    def heard(line: str) -> bool:
        nonlocal steps
        if not line.startswith("{"):
            return False  # something else that a library prints
        game = json.loads(line)
        steps = game["steps"]
        returns.append(game["return"])
        return len(returns) == WINDOW and statistics.fmean(returns) >= GOAL

    command = peer.command(seed)
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as folder:
        seen = watch(command, Path(folder), heard, limit_s)
        if seen.exit_code:
            raise click.ClickException(_failed(command, seen.exit_code, Path(folder)))
    seconds = round(seen.seconds, 2)
    return Run(seed, seen.content, seconds, steps, round(steps / seconds), round(seen.peak_mb), seen.processes)


def _failed(command: list[str], exit_code: int | None, folder: Path) -> str:
    return f"{' '.join(command)}: exit code {exit_code}\n{(folder / 'log').read_text()[-4000:]}"


@click.command()
@click.option("--peers", "wanted", default=DEFAULT, show_default=True, help=f"Of {', '.join(PEERS)}.")
@click.option("--seeds", default=3, show_default=True)
@click.option("--limit", default=300.0, show_default=True, help="Seconds a run.")
@click.option("--threads", default=1, show_default=True, help="Of mathematical libraries, in each process.")
def main(wanted: str, seeds: int, limit: float, threads: int) -> None:
    """Run everything in turn and print the results."""
    if unknown := set(wanted.split(",")) - set(PEERS):
        raise click.BadParameter(f"{', '.join(unknown)}, expected some of {', '.join(PEERS)}", param_hint="--peers")
    peers = [PEERS[name] for name in wanted.split(",")]
    os.environ.update(OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    ours(0, limit)
    for peer in peers:
        of_peer(peer, 0, WARM_S)
    own: list[Run] = []
    theirs: dict[str, list[Run]] = {peer.label: [] for peer in peers}
    for seed in range(1, seeds + 1):
        own.append(ours(seed, limit))
        emit("Broodmind", own[-1])
        for peer in peers:
            theirs[peer.label].append(of_peer(peer, seed, limit))
            emit(peer.label, theirs[peer.label][-1])
    for label, runs in theirs.items():
        ratios = [round(run.seconds / our.seconds, 2) for run, our in zip(runs, own, strict=True)]
        solved = f"{sum(run.solved for run in runs)} of {seeds}"
        Result(f"seconds to solve CartPole-v1, {label} to ours", ratios, "x", detail={"solved": solved}).emit()


def emit(label: str, run: Run) -> None:
    """Print the result of a run."""
    Result(f"seconds to solve CartPole-v1, {label}", [run.seconds], "s", detail=asdict(run)).emit()


if __name__ == "__main__":
    main()
