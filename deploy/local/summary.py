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
from ..observe.progress_figures import COLLAPSES, own_metrics
from ..observe.run_view import look

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ...actors.inference.policy import Policy
    from ...common.server.keys import Keys
    from ...common.server.streams import Server
    from ..config.given import Given
    from ..config.tree import Config
    from ..observe.run_view import RunView
    from ..policies.evaluation import Evaluation
    from ..policies.final_evaluation import FinalEvaluation
    from ..records.run_folder import RunFolder
    from .monitor import Seen

_log = Log("summary")


def evaluated(
    server: Server, keys: Keys, config: Config, folder: RunFolder, seen: Seen, began_ms: int
) -> dict[str, Any] | None:
    """Evaluate the last and the best version of a run that has ended, and summarise it. None if it has no version."""
    view = look(server, keys)
    if not view.head:
        return None
    if config.local.client:  # nobody but the bots can play the game
        counted = {"evaluation_games": int(view.head.get("evaluation_games", 0))}
        return {**summarise(view, began_ms, seen, None), **counted, **game_figures.summary(view.stats)}
    from ..policies.evaluator import task_of
    from ..policies.final_evaluation import evaluate_at_the_end

    played = evaluate_at_the_end(server, keys, folder, task_of(config), config.local.eval_episodes)
    return None if played is None else summarise(view, began_ms, seen, played)


def latest_policy(server: Server, keys: Keys) -> tuple[Policy, RunSpec]:
    """Load the last published version as a policy."""
    from ...actors.inference.policy import Policy

    spec = RunSpec.from_json(server.call("HGET", keys.spec, "json"), formats=READABLE)
    pointer = Pointer.from_json(server.call("GET", keys.latest))
    blob = server.call("GET", keys.weights(pointer.epoch, pointer.version)) or b""
    return Policy(pointer, decode_weights(blob, pointer.digest, spec), spec), spec


def summarise(view: RunView, began_ms: int, seen: Seen, evaluation: FinalEvaluation | None) -> dict[str, Any]:
    """Make the summary of a run that has ended.

    `seconds` is the time from `began_ms` until the run was solved, or else until it was over or was stopped.
    `env_steps` counts all steps that the run was trained on, `steps_per_second` only those since `began_ms`.
    `evaluation` is the first of the last version's evaluations; if there are several, `evaluations` has all of them by
    name. `evaluation_best` and `evaluations_best` are the best version's, in the same games. `evaluation_sampled` is
    the last version's with actions drawn as in training, `exploration_cost` how much less it gains then. All are None
    where nobody could play the game. `return_mean` is of the last games of the training, which earlier versions played.
    """
    head, stats = view.head, view.stats
    solved_ms = int(stats.get("solved_ms", 0))
    solved = solved_ms >= began_ms  # and not before this start, if the run was continued
    seconds = ((solved_ms if solved else seen.ended_ms) - began_ms) / 1000
    steps, peak_mb = int(head["steps"]), seen.memory.peak_mb
    before = steps if seen.steps_before is None else seen.steps_before  # it ended before the learner had reported it
    summary = {
        "solved": solved,
        "seconds": round(seconds, 2),
        "env_steps": steps,
        "resumed_steps": before,
        "steps_per_second": round((steps - before) / max(seconds, 1e-3)),
        "games": int(head["games"]),
        "epoch": int(head["epoch"]),
        "version": int(head["version"]),
        "return_mean": float(stats["return_mean"]) if "return_mean" in stats else None,
        "metrics": {name: float(value) for name, value in own_metrics(stats).items()},
        "rejected": {name: int(head[name]) for name in REJECTION_COUNTERS},
        **{name: int(stats.get(name, 0)) for name in COLLAPSES},
        "staleness": {name: float(stats.get(f"staleness_{name}", 0)) for name in ("p50", "p95", "max")},
        **_of_versions(evaluation),
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


def conclude(summary: dict[str, Any], given: Given, config: Config, folder: RunFolder) -> None:
    """Complete the summary, write it to summary.json, draw the curve, and say how the run ended.

    In the summary a number that is not finite becomes None.
    """
    from ..records.learning_curve import draw_run

    complete = finite({**summary, **about_run(given, config, folder)})
    summary.update(complete)
    write_summary(folder, summary)
    report(summary, draw_run(folder, f"{config.game}, run {config.run}"), folder)


def write_summary(folder: RunFolder, summary: Mapping[str, Any]) -> None:
    """Write how a start ended to its run's folder. Where that fails there is a warning."""
    try:
        folder.summary.write_text(json.dumps(summary, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        _log.warning("summary not written", file=folder.summary, error=error)


def finite(value: Any) -> Any:  # noqa: ANN401 - of JSON's types
    """The value with null for each number in it that JSON does not have."""
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _of_versions(evaluation: FinalEvaluation | None) -> dict[str, Any]:
    if evaluation is None:
        return dict.fromkeys(("evaluation", "evaluation_best", "evaluation_sampled", "exploration_cost"))
    from ..policies.evaluation import exploration_cost

    best = {"epoch": evaluation.best_epoch, "version": evaluation.best_version}
    first = next(iter(evaluation.last))
    return {
        **_of_version("", evaluation.last, {}),
        **_of_version("_best", evaluation.best, best),
        **_of_version("_sampled", evaluation.last_sampled, {}),
        "exploration_cost": exploration_cost(evaluation.last[first], evaluation.last_sampled[first]),
    }


def _of_version(suffix: str, evaluations: Mapping[str, Evaluation] | None, version: dict[str, int]) -> dict[str, Any]:
    """The first of a version's evaluations, and all of them if there are several."""
    if evaluations is None:
        return {f"evaluation{suffix}": None}
    played = {name: {**version, **each.to_json()} for name, each in evaluations.items()}
    several = {f"evaluations{suffix}": played} if len(played) > 1 else {}
    return {f"evaluation{suffix}": next(iter(played.values())), **several}


def report(summary: dict[str, Any], picture: Path | None, folder: RunFolder) -> None:
    """Print the summary as text on standard error."""
    ended = "solved" if summary["solved"] else "ended"
    before = f" ({summary['resumed_steps']:,} of them before this start)" if summary["resumed_steps"] else ""
    click.echo(
        f"{ended} after {summary['seconds']} s: {summary['env_steps']:,} steps{before}, "
        f"{summary['steps_per_second']:,} a second, {summary['games']:,} games, version {summary['version']}",
        err=True,
    )
    if summary["collapses"]:
        counted = f"{summary['collapses']} times, {summary['restorations']} of them the best state was gone back to"
        click.echo(f"the return has collapsed {counted}", err=True)
    if summary["metrics"]:
        own = "   ".join(f"{name} {mean:g}" for name, mean in summary["metrics"].items())
        click.echo(f"of the last 100 games: {own}", err=True)
    for line in game_figures.lines(summary) if "by_label" in summary else _evaluations_in_words(summary):
        click.echo(line, err=True)
    drawn = f", curve in {picture}" if picture else ""
    click.echo(f"record of the run, checkpoints and logs in {folder.path}{drawn}", err=True)
    install = "" if find_spec("tensorboard") else " (pip install tensorboard)"
    click.echo(f"curves: tensorboard --logdir {folder.path}{install}", err=True)


def _evaluations_in_words(summary: Mapping[str, Any]) -> Iterator[str]:
    """A line for each evaluation of the last version, and of the best one if that is another; and what noise costs."""
    best = summary["evaluation_best"]
    if summary["return_mean"] is not None:
        yield f"training, the last 100 games: mean return {summary['return_mean']:g}"
    if (cost := summary["exploration_cost"]) is not None and cost["mean"] is not None:
        sampled = summary["evaluation_sampled"]
        within = "" if cost["ci95"] is None else f" (95 % confidence: {cost['ci95'][0]} to {cost['ci95'][1]})"
        yield (
            f"actions drawn as in training, last version: mean return {sampled['mean']} over {sampled['episodes']} "
            f"games; exploration costs {cost['mean']}{within}"
        )
    for suffix, which in (("", "last version"), ("_best", f"best version, {best['version']}" if best else "")):
        if summary[f"evaluation{suffix}"] is None:
            continue
        if suffix and (best["epoch"], best["version"]) == (summary["epoch"], summary["version"]):
            continue
        of_version = summary.get(f"evaluations{suffix}", {"": summary[f"evaluation{suffix}"]})
        for name, evaluation in of_version.items():
            by = f" by {name}" if name else ""
            wins = f", {evaluation['wins']} of {evaluation['episodes']} games won" if "wins" in evaluation else ""
            played = f"{evaluation['mean']} over {evaluation['episodes']} games{wins}"
            if "not_finite" in evaluation:
                played += f"; in {evaluation['not_finite']} of them the game gave rewards that are not finite numbers"
            yield f"greedy evaluation{by}, {which}: mean return {played}"
