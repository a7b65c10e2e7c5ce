"""What is shown of a run while it goes on: its figures, how near its goal is, and when it may be there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...actors.transport.heartbeat import WARNING
from ...common.own_metrics import STATISTIC
from ...learner.ledger.counters import REJECTION_COUNTERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...learner.config import Goal
    from .run_view import RunView

_TEXT_MAX = 80  # characters of what an actor says of itself
_WARNING_MAX = 400
_FIGURES = {
    "steps": "steps",
    "steps_per_second": "steps/s",
    "games": "games",
    "version": "version",
    "return_mean": "return",
    "length_mean": "length",
    "win_rate": "wins",
    "eval_return_mean": "eval",
    "staleness_p95": "stale p95",
}
COLLAPSES = ("collapses", "restorations")


@dataclass(slots=True)
class LocalRun:
    """What is known of a run from its start."""

    name: str
    game: str
    goal: Goal
    # Of the first figures, from which progress to a return is counted, and of time.
    first_return: float | None = field(default=None, init=False)


@dataclass(frozen=True, slots=True)
class GoalView:
    """How near one goal is."""

    share: float  # of the way, from 0 to 1
    text: str  # the goal, after "57 % of"
    left_s: float | None  # until it is reached, if that can be told


def all_values(run: LocalRun, view: RunView, seconds: float) -> dict[str, str]:
    """All values that are shown, by label."""
    stats = view.stats
    shown = {label: short(stats[name]) for name, label in _FIGURES.items() if name in stats}
    others = {
        "lag": str(view.lag),
        "backlog": str(view.backlog),
        "actors": str(sum("state" in actor.heartbeat for actor in view.actors)),
        "time": clock(seconds),
        "ends in": ends_in(run, view, seconds),
        "rejected": rejected(view.head),
        **{name: stats.get(name, "0") for name in COLLAPSES if int(stats.get("collapses", 0))},
    }
    taken = {*_FIGURES.values(), *others}
    own = {f"own {name}" if name in taken else name: short(value) for name, value in own_metrics(stats).items()}
    return {**shown, **own, **others}


def ends_in(run: LocalRun, view: RunView, seconds: float) -> str:
    """When the run is over at the latest, as far as that can be told."""
    left = [goal.left_s for goal in goals(run, view, seconds) if goal.left_s is not None]
    return clock(min(left)) if left else "-"


def goals(run: LocalRun, view: RunView, seconds: float) -> list[GoalView]:
    """The run's goals; the first one that is reached ends it."""
    goal, stats, found = run.goal, view.stats, []
    if goal.until_return is not None:
        text = f"return {goal.until_return:g}"
        found.append(GoalView(_share_of_return(run, stats, goal.until_return), text, None))
    if goal.max_steps is not None:
        steps, rate = float(stats.get("steps", 0)), float(stats.get("steps_per_second", 0))
        left_s = max(goal.max_steps - steps, 0) / rate if rate > 0 else None
        found.append(GoalView(min(steps / goal.max_steps, 1.0), f"{goal.max_steps:,} steps", left_s))
    if goal.max_seconds is not None:
        left_s = max(goal.max_seconds - seconds, 0)
        found.append(GoalView(min(seconds / goal.max_seconds, 1.0), clock(goal.max_seconds), left_s))
    return found


def rejected(head: Mapping[str, str]) -> str:
    """How many entries were not trained on, by reason."""
    counts = {name: int(head.get(name, 0)) for name in REJECTION_COUNTERS}
    reasons = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    return f"{sum(counts.values()):,} ({reasons})" if reasons else "0"


def own_metrics(stats: Mapping[str, str]) -> dict[str, str]:
    """The means of the game's own metrics, by the names that the game gave them."""
    return {name.removeprefix(STATISTIC): stats[name] for name in sorted(stats) if name.startswith(STATISTIC)}


def warnings(view: RunView) -> list[str]:
    """What the learner warns of, and what is wrong with the games that actors play."""
    texts = [text for name, text in sorted(view.stats.items()) if name.startswith("warning_") and text]
    names: dict[str, list[str]] = {}
    for actor in view.actors:
        if text := actor.heartbeat.get(WARNING):
            names.setdefault(printable(text, _WARNING_MAX), []).append(printable(actor.name))
    for text, of in names.items():
        more = f" and {len(of) - 1} more" if len(of) > 1 else ""
        texts.append(f"{of[0]}{more}: {text}")
    return texts


def printable(text: str, most: int = _TEXT_MAX) -> str:
    """What an actor says of itself, on one line and without the control characters that a terminal would obey."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:most])
    return shown if len(text) <= most else shown + "..."


def short(value: str) -> str:
    """A number in a few characters."""
    number = float(value)
    return f"{number:,.0f}" if number.is_integer() or abs(number) >= 1000 else f"{number:.3g}"


def clock(seconds: float) -> str:
    """A time in a few characters: 9.5 s, 12:07, 3:00:00."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(min(seconds, 1e9)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _share_of_return(run: LocalRun, stats: Mapping[str, str], wanted: float) -> float:
    """How far the mean return has come from the first one that was seen."""
    if "return_mean" not in stats:
        return 0.0
    now = float(stats["return_mean"])
    if run.first_return is None:
        run.first_return = now
    way = wanted - run.first_return
    return min(max((now - run.first_return) / way, 0.0), 1.0) if way > 0 and math.isfinite(way) else 1.0
