"""`broodmind status`: shows a run on one screen, or as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click

from ...actors.client.overflow import hint
from ...common.deprecated import with_old_fields
from ...common.errors import ConfigError
from ...common.server.keys import Keys
from ...common.server.server_clock import SKEW_MAX_MS
from ...common.server.streams import Server
from ...learner.ledger.counters import REJECTION_COUNTERS
from ..config.effective import server_url_of_run
from ..config.options import with_settings
from ..config.tree import Config
from .game_figures import lines as lines_of_games
from .game_figures import summary
from .progress_figures import COLLAPSES, own_metrics, printable, warnings
from .run_view import RunView, look

if TYPE_CHECKING:
    from ..config.given import Given

_SHOWN = (
    *("steps", "steps_per_second", "games", "return_mean", "win_rate"),
    *("staleness_p50", "staleness_p95", "staleness_max", "effective_rate"),
)


@click.command()
@with_settings("run", "connection")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(given: Given, *, as_json: bool) -> None:
    """Show the state of a run: version, counters, actors and the lag of each stream."""
    run = given.get("run", Config().run)
    show_status(server_url_of_run(given, run), run, as_json=as_json)


def show_status(url: str, run: str, *, as_json: bool) -> None:
    """Print the state of a run. Raises ConfigError if Redis does not know the run."""
    server = Server(url)
    view = look(server, Keys(run))
    server.close()
    if not view.head:
        raise ConfigError(f"run: {run!r}, expected the name of a run on this server; start one with broodmind learner")
    click.echo(json.dumps(to_json(view)) if as_json else describe(run, view))


def to_json(view: RunView) -> dict[str, Any]:
    """The view as a JSON object, for scripts."""
    fields = dataclasses.asdict(view)
    stats = view.stats
    return {**fields, **summary(stats), "head": with_old_fields(view.head), "stats": with_old_fields(stats)}


def _advice(head: dict[str, str], stats: dict[str, str]) -> list[str]:
    """What to change, where games are given up or batches are trained on before they are complete."""
    given_up = hint(int(head.get("overflow", 0)), int(head.get("games", 0)))
    lines = [given_up] if given_up else []
    if short := int(stats.get("short_batches", 0)):
        # Where actors are ahead of the learner, batches are short only when all of them have left.
        remedy = (
            "" if given_up else ": choose a smaller batch_steps or batch_games, run more actors, or raise batch_wait"
        )
        lines.append(f"short batches   {short}, trained on before they were complete{remedy}")
    return lines


def _collapses(stats: dict[str, str]) -> list[str]:
    """How often the return has collapsed, where it has."""
    if not int(stats.get("collapses", 0)):
        return []
    return ["return     " + "   ".join(f"{name} {stats.get(name, 0)}" for name in COLLAPSES)]


def describe(run: str, view: RunView) -> str:
    """The view as text, for people."""
    head, stats, own = view.head, view.stats, own_metrics(view.stats)
    learner = f"learner {view.lease}" if view.lease else "no learner"
    lines = [
        f"run {run}   epoch {head['epoch']}   version {head['version']}   commit {head['commit']}   {learner}",
        "   ".join(f"{name} {stats[name]}" for name in _SHOWN if name in stats),
        *(["own        " + "   ".join(f"{name} {value}" for name, value in own.items())] if own else []),
        "rejected   " + "   ".join(f"{name} {head.get(name, 0)}" for name in REJECTION_COUNTERS),
        *_collapses(stats),
        *_advice(head, stats),
        *lines_of_games(summary(stats)),
        f"{'actor':<40} {'lag':>5} {'pending':>8} {'backlog':>8} {'version':>8} {'steps/s':>9}  state",
    ]
    lines[2:2] = [f"warning    {text}" for text in warnings(view)]
    for actor in view.actors:
        lag = "?" if actor.lag is None else actor.lag
        beat = actor.heartbeat
        rating = f"   elo {printable(beat['elo'])}" if "elo" in beat else ""
        skew_ms = beat.get("clock_skew_ms", "0")
        if skew_ms.lstrip("-").isdigit() and abs(int(skew_ms)) > SKEW_MAX_MS:
            rating += f"   clock {int(skew_ms) / 1000:+.0f} s"
        lines.append(
            f"{printable(actor.name):<40} {lag:>5} {actor.pending:>8} {actor.backlog:>8} "
            f"{printable(beat.get('version', '-')):>8} {printable(beat.get('steps_per_second', '-')):>9}  "
            f"{printable(beat.get('state', 'silent'))}{rating}"
        )
    return "\n".join(lines)
