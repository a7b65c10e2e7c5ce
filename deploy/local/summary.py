"""The summary of `broodmind up`, as a JSON object and as text."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from ...common.deprecated import with_old_summary
from ...common.process.log import Log
from ...common.spec import READABLE, RunSpec
from ...common.wire.weights import Pointer, decode_weights
from ...learner.ledger.counters import REJECTION_COUNTERS
from ..observe import game_figures
from ..observe.progress_figures import own_metrics
from ..observe.run_view import look

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ...actors.inference.policy import Policy
    from ...common.server.keys import Keys
    from ...common.server.streams import Server
    from ..config.given import Given
    from ..config.tree import Config
    from ..observe.run_view import RunView
    from ..policies.evaluation import Evaluation
    from ..records.run_folder import RunFolder
    from .monitor import Seen

_log = Log("summary")


def evaluated(server: Server, keys: Keys, config: Config, seen: Seen, began_ms: int) -> dict[str, Any] | None:
    """Evaluate the last version of a run that has ended, and summarise the run. None if it has no version."""
    view = look(server, keys)
    if not view.head:
        return None
    if config.local.client:  # nobody but the bots can play the game
        counted = {"evaluation_games": int(view.head.get("evaluation_games", 0))}
        return {**summarise(view, began_ms, seen, {}), **counted, **game_figures.summary(view.stats)}
    from ..policies.evaluation import Plan, evaluations

    policy, spec = latest_policy(server, keys)
    played = evaluations(policy, config.game, Plan(config.local.eval_episodes, spec.seed), config.game_args)
    return summarise(view, began_ms, seen, played)


def latest_policy(server: Server, keys: Keys) -> tuple[Policy, RunSpec]:
    """Load the last published version as a policy."""
    from ...actors.inference.policy import Policy

    spec = RunSpec.from_json(server.call("HGET", keys.spec, "json"), formats=READABLE)
    pointer = Pointer.from_json(server.call("GET", keys.latest))
    blob = server.call("GET", keys.weights(pointer.epoch, pointer.version)) or b""
    return Policy(pointer, decode_weights(blob, pointer.digest, spec), spec), spec


def summarise(view: RunView, began_ms: int, seen: Seen, evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Make the summary of a run that has ended.

    `seconds` is the time from `began_ms` until the run was solved, or else until its last commit. `env_steps` counts
    all steps that the run was trained on, `steps_per_second` only those since `began_ms`. `evaluation` is the first of
    the evaluations; if there are several, `evaluations` has all of them by name.
    """
    played = {name: evaluation.to_json() for name, evaluation in evaluations.items()}
    head, stats = view.head, view.stats
    solved_ms = int(stats.get("solved_ms", 0))
    solved = solved_ms >= began_ms  # and not before this start, if the run was continued
    seconds = ((solved_ms if solved else int(stats["updated_ms"])) - began_ms) / 1000
    steps, peak_mb = int(head["steps"]), seen.memory.peak_mb
    summary = {
        "solved": solved,
        "seconds": round(seconds, 2),
        "env_steps": steps,
        "resumed_steps": seen.steps_before or 0,
        "steps_per_second": round((steps - (seen.steps_before or 0)) / max(seconds, 1e-3)),
        "games": int(head["games"]),
        "version": int(head["version"]),
        "return_mean": float(stats["return_mean"]) if "return_mean" in stats else None,
        "metrics": {name: float(value) for name, value in own_metrics(stats).items()},
        "rejected": {name: int(head[name]) for name in REJECTION_COUNTERS},
        "staleness": {name: float(stats.get(f"staleness_{name}", 0)) for name in ("p50", "p95", "max")},
        "evaluation": next(iter(played.values()), None),
        **({"evaluations": played} if len(played) > 1 else {}),
        "peak_memory_mb": None if peak_mb is None else round(peak_mb),
    }
    return with_old_summary(summary)


def about_run(given: Given, config: Config, folder: RunFolder) -> dict[str, Any]:
    """What the summary says of the run itself: its game, its settings, where its record is."""
    from ..config.differing import differing

    return {
        **{name: getattr(config, name) for name in ("run", "game", "game_args", "seed")},
        "algorithm": config.algo,
        "settings": differing(given, local=True),
        "folder": str(folder.path),
    }


def write_summary(folder: RunFolder, summary: Mapping[str, Any]) -> str:
    """Write summary.json, and return it as one line of JSON, in which a number that is not finite is null."""
    line = json.dumps(finite(summary), allow_nan=False) + "\n"
    try:
        folder.summary.write_text(line, encoding="utf-8")
    except OSError as error:
        _log.warning("summary not written", file=folder.summary, error=error)
    return line


def finite(value: Any) -> Any:  # noqa: ANN401 - of JSON's types
    """The value with null for each number in it that JSON does not have."""
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def report(summary: dict[str, Any], picture: Path | None, folder: RunFolder) -> None:
    """Print the summary as text on standard error."""
    ended = "solved" if summary["solved"] else "ended"
    before = f" ({summary['resumed_steps']:,} of them before this start)" if summary["resumed_steps"] else ""
    click.echo(
        f"{ended} after {summary['seconds']} s: {summary['env_steps']:,} steps{before}, "
        f"{summary['steps_per_second']:,} a second, {summary['games']:,} games, version {summary['version']}",
        err=True,
    )
    if summary["metrics"]:
        own = "   ".join(f"{name} {mean:g}" for name, mean in summary["metrics"].items())
        click.echo(f"of the last 100 games: {own}", err=True)
    for line in game_figures.lines(summary) if "by_label" in summary else []:
        click.echo(line, err=True)
    of_games = {} if "by_label" in summary else summary.get("evaluations", {"": summary["evaluation"]})
    for name, evaluation in of_games.items():
        by = f" by {name}" if name else ""
        wins = f", {evaluation['wins']} of {evaluation['episodes']} games won" if "wins" in evaluation else ""
        click.echo(
            f"greedy evaluation{by}: mean return {evaluation['mean']} over {evaluation['episodes']} games{wins}",
            err=True,
        )
    drawn = f", curve in {picture}" if picture else ""
    click.echo(f"record of the run, checkpoints and logs in {folder.path}{drawn}", err=True)
    install = "" if find_spec("tensorboard") else " (pip install tensorboard)"
    click.echo(f"curves: tensorboard --logdir {folder.path}{install}", err=True)
