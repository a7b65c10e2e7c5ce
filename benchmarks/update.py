"""The speed of the learner's updates relative to the same updates in plain PyTorch, both on one thread of a CPU.

    python benchmarks/update.py

PPO as it is by default (four epochs of minibatches of 256 steps) and V-trace's single pass, with two hidden layers of
64 and of 256, 4 inputs and 2 actions, on one batch of 2,048 steps, including the invalid ones after a game's end. Our
side is `Trainer.update` with everything that it does besides: it can undo an update that is not finite, and computes
ten metrics. The other side is update_torch.py: modules, autograd, `torch.optim.Adam` and `clip_grad_norm_`, eager.

First both compute the losses and the gradient of the whole batch with the same weights; the difference must be at most
1e-4 of its norm. Then they update in turn, each in its own process: the result is the ratio of their speeds. PyTorch is
installed in `build/peers/torch` on first use.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from results import Result
from virtual_environments import python_of

from broodmind.common.actions import Discrete
from broodmind.common.process.process_setup import prepare_to_compute
from broodmind.common.spec import GameSpec, NetworkSpec, RunSpec
from broodmind.common.wire.weights import decode_weights, digest
from broodmind.learner.algorithms.batch import Batch
from broodmind.learner.algorithms.learning_rate import LearningRateConfig
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.trainer import Trainer
from broodmind.learner.algorithms.vtrace_actor_critic.config import VTraceConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broodmind.common.policy.network import Params
    from broodmind.learner.algorithms.registry import AlgorithmConfig

REQUIREMENTS = ("torch==2.13.0", "numpy>=2.2,<3")
STEPS, COLUMNS = 32, 64
RATE = 1e-5  # so small that hundreds of updates on one batch do not diverge
TARGETS = {64: 2.0, 256: 1.0}  # by width
CASES: dict[str, tuple[AlgorithmConfig, int]] = {
    f"{name}-{width}": (config, width)
    for name, config in (
        ("ppo", PPOConfig(learning_rate=RATE)),
        ("vtrace", VTraceConfig(learning_rate=RATE, schedule=LearningRateConfig())),
    )
    for width in TARGETS
}


def spec(width: int) -> RunSpec:
    return RunSpec(GameSpec("Update", (4,), Discrete(2)), NetworkSpec(hidden=(width, width)))


def batch() -> Batch:
    """Random steps of an almost uniform policy, with games that terminate and some that are truncated."""
    rng = np.random.default_rng(1)
    shape = (STEPS, COLUMNS)
    ended = rng.random(shape) < 0.03
    ended[1:] &= ~ended[:-1]
    cut = rng.random(shape) < 0.3
    valid = np.ones(shape, np.bool_)
    valid[1:] = ~ended[:-1]
    return Batch(
        observations=rng.standard_normal((STEPS + 1, COLUMNS, 4), np.float32),
        actions=rng.integers(2, size=shape, dtype=np.int32),
        log_probs=(np.log(0.5) + 0.1 * rng.standard_normal(shape)).astype(np.float32),
        rewards=np.ones(shape, np.float32),
        terminated=ended & valid & ~cut,
        truncated=ended & valid & cut,
        valid=valid,
        masks=None,
        games=int(np.count_nonzero(ended & valid)),
    )


def weights_of(trainer: Trainer, width: int) -> Params:
    blob = trainer.weights()
    return decode_weights(blob, digest(blob), spec(width))


def gradient(case: str) -> tuple[dict[str, float], Params]:
    """Losses of the whole batch with the initial weights, and their gradient, from the change by one large SGD step."""
    config, width = CASES[case]
    rate = 100.0  # so large that the weights' rounding errors do not matter
    plain = replace(config, optimizer="sgd", learning_rate=rate, n_epochs=1, minibatch_size=1 << 30, max_grad_norm=1e30)
    trainer = Trainer(spec(width), plain)
    before = weights_of(trainer, width)
    metrics = trainer.update(batch())
    after = weights_of(trainer, width)
    losses = {name: metrics[name] for name in ("policy_loss", "value_loss")}
    losses["entropy_loss"] = -config.entropy_coef * metrics["entropy"]
    return losses, {name: (before[name] - after[name]) / rate for name in before}


def check(case: str, theirs: dict[str, float], their_gradient: Params) -> float:
    """Hold the two halves against each other; returns how far the gradients are apart, relative to their length."""
    losses, ours = gradient(case)
    apart = math.sqrt(sum(float(np.sum((ours[name] - their_gradient[name]) ** 2)) for name in ours))
    apart /= math.sqrt(sum(float(np.sum(each**2)) for each in ours.values()))
    if apart > 1e-4 or any(abs(losses[name] - theirs[name]) > 1e-4 for name in losses):
        raise click.ClickException(f"{case}: losses {losses} and {theirs}, gradients {apart} apart, expected the same")
    return apart


def serve() -> None:
    """Be our half: update as often as standard input asks for."""
    data = batch()
    trainers = {case: Trainer(spec(width), config) for case, (config, width) in CASES.items()}
    print(json.dumps({"ready": np.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        began_s = time.perf_counter()
        for _ in range(request["times"]):
            trainers[request["case"]].update(data)
        print(json.dumps({"seconds": time.perf_counter() - began_s}), flush=True)


class Half:
    """A process that answers a line with a line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.version = self._read()["ready"]

    def ask(self, case: str, times: int) -> dict[str, float]:
        """The answer to a request for so many updates."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"case": case, "times": times}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise click.ClickException(f"{self._process.args}: ended early")
        return json.loads(line)


@contextlib.contextmanager
def half(*command: str | Path) -> Iterator[Half]:
    """A process of one thread, until its standard input ends."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, **one}, **pipes) as process:
        yield Half(process)


def prepare(folder: Path) -> None:
    """Write what the other half needs to know."""
    arrays = {name: value for name, value in asdict(batch()).items() if isinstance(value, np.ndarray)}
    np.savez(folder / "batch.npz", **arrays)
    for case, (config, width) in CASES.items():
        np.savez(folder / f"{case}.npz", **weights_of(Trainer(spec(width), config), width))
    algos = {case: {"algo": case.partition("-")[0], **asdict(config)} for case, (config, _) in CASES.items()}
    (folder / "cases.json").write_text(json.dumps(algos))


@click.command()
@click.option("--rounds", default=15, show_default=True, help="In which the halves take turns.")
@click.option("--times", default=5, show_default=True, help="An update is made, a turn.")
@click.option("--ours", is_flag=True, hidden=True)
def main(rounds: int, times: int, *, ours: bool) -> None:
    """Measure and print the results."""
    if ours:
        prepare_to_compute()  # as the learner does
        serve()
        return
    python = python_of("torch", *REQUIREMENTS)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        prepare(folder)
        mine = stack.enter_context(half(sys.executable, __file__, "--ours"))
        theirs = stack.enter_context(half(python, Path(__file__).with_name("update_torch.py"), folder))
        for case, (_, width) in CASES.items():
            losses = theirs.ask(case, 0)
            with np.load(folder / f"{case}-torch.npz") as arrays:
                apart = check(case, losses, dict(arrays))
            turns = [(mine.ask(case, times)["seconds"], theirs.ask(case, times)["seconds"]) for _ in range(rounds + 1)]
            ratios = [other / own for own, other in turns[1:]]  # the first turn warms up
            own_ms, other_ms = (1000 / times * statistics.median(each) for each in zip(*turns[1:], strict=True))
            detail = {"ours_ms": own_ms, "torch_ms": other_ms, "gradients_apart": apart, "torch": theirs.version}
            Result(f"update: {case} to PyTorch", ratios, "x", TARGETS[width], detail=detail).emit()


if __name__ == "__main__":
    main()
