"""Figures of clients' games for display: returns and wins by label, and of the greedy games that evaluate versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN = 6  # values of a label in a line, those with the most games


def by_label(stats: Mapping[str, str]) -> dict[str, dict[str, dict[str, Any]]]:
    """By label and value: games, return_mean and win_rate. Empty where no game has labels."""
    return _object(stats, "labels") or {}


def evaluation(stats: Mapping[str, str]) -> dict[str, Any] | None:
    """Of the version that was evaluated last: version, epoch, steps, mean, std, episodes, wins; None where none was."""
    return _object(stats, "evaluation")


def best_evaluation(stats: Mapping[str, str]) -> dict[str, Any] | None:
    """The same of the best version, by games since it was chosen, and `chosen_by`, its games before; or None."""
    return _object(stats, "evaluation_best")


def summary(stats: Mapping[str, str]) -> dict[str, Any]:
    """All of them as a JSON object."""
    return {"evaluation": evaluation(stats), "evaluation_best": best_evaluation(stats), "by_label": by_label(stats)}


def lines(shown: Mapping[str, Any]) -> list[str]:
    """A result of `summary` as text; nothing where there are none."""
    evaluations = (("last", shown["evaluation"]), ("best", shown["evaluation_best"]))
    found = [_evaluation(name, each) for name, each in evaluations if each]
    for label, values in shown["by_label"].items():
        most = sorted(values.items(), key=lambda item: -item[1]["games"])[:_SHOWN]
        left = f"   and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
        found.append(f"by {label}   " + "   ".join(_value(value, each) for value, each in most) + left)
    return found


def _evaluation(name: str, each: Mapping[str, Any]) -> str:
    wins = "" if each["wins"] is None else f"   wins {each['wins']} of {each['episodes']}"
    return (
        f"greedy games of the {name} version, {each['version']}: mean return {each['mean']:g} over {each['episodes']}"
        f"{wins}"
    )


def _value(value: str, each: Mapping[str, Any]) -> str:
    wins = "" if each["win_rate"] is None else f", wins {each['win_rate']:.2g}"
    return f"{value}: return {each['return_mean']:.3g}{wins} ({each['games']} games)"


def _object(stats: Mapping[str, str], name: str) -> dict[str, Any] | None:
    try:
        found = json.loads(stats.get(name, "null"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
