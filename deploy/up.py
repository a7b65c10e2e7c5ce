"""`broodmind up`: server, learner and actors on this machine, watched to their end, then an evaluation."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..actors.supervisor import Supervisor
from ..common.clock import Every, now_ms
from ..common.errors import ConfigError, NotSolved
from ..common.keys import Keys
from ..common.shutdown import stop_on_signal
from ..common.streams import Server
from .curve import Curve
from .embedded import EmbeddedServer
from .launch import actor_slots, default_actor_name, learner_slot
from .memory import PeakMemory
from .progress import make_progress
from .settings import UNROLL_STEPS
from .watch import RunView, look

if TYPE_CHECKING:
    from ..common.shutdown import Stop
    from .evaluate import Evaluation

INTERRUPTED = 130
_POLL_S = 0.02
_LOOK_EVERY_S = 0.1
_MEMORY_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Local:
    """What `up` was asked to put up."""

    url: str
    run: str
    game: str
    out: Path
    began_ms: int  # when this process started


def run_up(
    url: str | None,
    run: str,
    *,
    game: str,
    actors: int,
    envs: int,
    eval_episodes: int,
    out: str | None,
    as_json: bool,
    **learning: Any,  # noqa: ANN401 - the learner's own options, handed on
) -> int:
    """Put a run up and see it through; returns the exit code."""
    began_ms = _process_start_ms()
    keys = Keys(run)
    folder = Path(out) if out else Path("runs") / time.strftime(f"{run}-%Y%m%d-%H%M%S")
    folder.mkdir(parents=True, exist_ok=True)
    if learning["algo"] == "ppo":  # one piece of each actor makes a batch
        learning["batch_steps"] = learning["batch_steps"] or actors * envs * (learning["unroll"] or UNROLL_STEPS)
    options = {"game": game, **learning, "checkpoint_dir": folder / "checkpoints"}
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        embedded = None if url else stack.enter_context(EmbeddedServer())
        local = Local(url or (embedded.url if embedded else ""), run, game, folder, began_ms)
        server = Server(local.url)
        stack.callback(server.close)
        if look(server, keys).lease:
            raise ConfigError(f"run: {run!r} has a learner already, expected one without; choose another --run")
        click.echo(f"run {run} on {_redis_cli(local.url)}, logs in {folder}", err=True)
        slots = [
            learner_slot(local.url, run, options, folder),
            *actor_slots(local.url, run, game, actors, envs, default_actor_name(), folder),
        ]
        supervisor = Supervisor(slots)
        try:
            view, curve, memory = _watch(local, server, supervisor, embedded, stop)
        finally:
            supervisor.stop()
        view = look(server, keys)
        if not view.head:  # interrupted before there was anything
            return INTERRUPTED
        evaluation = _evaluate(local, server, eval_episodes)
        summary = _summary(local, view, evaluation, memory)
        picture = _draw(curve, folder, f"{game}, run {run}")
    goal = learning["until_return"]
    if as_json:
        click.echo(json.dumps(summary))
    _report(summary, picture, folder)
    if stop.requested:
        return INTERRUPTED
    return NotSolved.exit_code if goal is not None and not summary["solved"] else 0


def _watch(
    local: Local, server: Server, supervisor: Supervisor, embedded: EmbeddedServer | None, stop: Stop
) -> tuple[RunView, Curve, PeakMemory]:
    """Look after the processes and show what they do, until the learner is done or somebody stops us."""
    keys, curve, memory = Keys(local.run), Curve(), PeakMemory()
    look_due, memory_due = Every(_LOOK_EVERY_S), Every(_MEMORY_EVERY_S)
    view = RunView({}, {}, None, [])
    learner = supervisor.slots[0]
    with make_progress() as progress:
        while not stop.requested and learner.exit_code != 0:
            if embedded is not None:
                embedded.check()
            supervisor.poll()
            if memory_due.due():
                memory.sample()
            if look_due.due():
                view = look(server, keys)
                if view.stats:
                    seconds = (now_ms() - local.began_ms) / 1000
                    curve.add(view, seconds)
                    progress.show(view, seconds)
            time.sleep(_POLL_S)
    return view, curve, memory


def _evaluate(local: Local, server: Server, episodes: int) -> Evaluation:
    # numpy and the game are needed only now; before, they would only have delayed the start.
    from ..actors.policy import Policy
    from ..common.spec import RunSpec
    from ..common.weights import Pointer, decode_weights
    from .evaluate import evaluate

    keys = Keys(local.run)
    spec = RunSpec.from_json(server.call("HGET", keys.spec, "json"))
    pointer = Pointer.from_json(server.call("GET", keys.latest))
    blob = server.call("GET", keys.weights(pointer.epoch, pointer.version))
    policy = Policy(pointer, decode_weights(blob, pointer.digest, spec), spec.network)
    return evaluate(policy, local.game, episodes, spec.seed)


def _summary(local: Local, view: RunView, evaluation: Evaluation, memory: PeakMemory) -> dict[str, Any]:
    head, stats = view.head, view.stats
    solved_ms = int(stats.get("solved_ms", 0))
    ended_ms = solved_ms or int(stats["updated_ms"])
    seconds = (ended_ms - local.began_ms) / 1000
    steps = int(head["steps"])
    return {
        "solved": bool(solved_ms),
        "seconds": round(seconds, 2),
        "env_steps": steps,
        "steps_per_second": round(steps / max(seconds, 1e-9)),
        "games": int(head["games"]),
        "version": int(head["version"]),
        "return_mean": float(stats.get("return_mean", "nan")),
        "dropped": {name: int(head[name]) for name in _DROPPED},
        "staleness": {name: float(stats.get(f"staleness_{name}", 0)) for name in ("p50", "p95", "max")},
        "evaluation": evaluation.to_json(),
        "peak_memory_mb": memory.peak_mb and round(memory.peak_mb),
    }


_DROPPED = ("stale", "too_old", "wrong_epoch", "invalid", "duplicate", "overflow")


def _draw(curve: Curve, folder: Path, title: str) -> Path | None:
    if not curve.points:
        return None
    path = folder / "curve.png"
    try:
        curve.draw(path, title)
    except ModuleNotFoundError:
        return None  # matplotlib is part of broodmind[watch]
    return path


def _report(summary: dict[str, Any], picture: Path | None, folder: Path) -> None:
    evaluation = summary["evaluation"]
    ended = "solved" if summary["solved"] else "ended"
    click.echo(
        f"{ended} after {summary['seconds']} s: {summary['env_steps']:,} steps, {summary['steps_per_second']:,} a second, "
        f"{summary['games']:,} games, version {summary['version']}",
        err=True,
    )
    wins = f", {evaluation['wins']} of {evaluation['episodes']} games won" if "wins" in evaluation else ""
    click.echo(
        f"greedy evaluation: mean return {evaluation['mean']} over {evaluation['episodes']} games{wins}", err=True
    )
    drawn = f", curve in {picture}" if picture else ""
    click.echo(f"checkpoints and logs in {folder}{drawn}", err=True)


def _redis_cli(url: str) -> str:
    return f"redis-cli -s {url.removeprefix('unix://')}" if url.startswith("unix://") else Server(url).url


def _process_start_ms() -> int:
    """When this process was started, interpreter and imports included; now, where that cannot be known."""
    try:
        import psutil
    except ModuleNotFoundError:
        return now_ms()
    return int(psutil.Process().create_time() * 1000)
