"""Returns and wins by label: of the games on each map, against each opponent, and so on.

Labels are the caller's own texts, so their number is bounded: the first LABELS_MAX names, and of each the first
VALUES_MAX values. Games with any other value count as `other`.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any

from ...common.labels import LABELS_MAX
from .stored_numbers import finite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...common.labels import Labels

VALUES_MAX = 16  # of a label
OTHER = "other"
GAMES = 100  # the weight of a game falls by a hundredth with each that follows
_BASE = VALUES_MAX + 2  # values, `other`, and none
LABEL_FIGURES_OVER = (
    f"of each label's value, all games that arrived, trained on or not, in the order in which they began, each with a "
    f"weight that falls by 1/{GAMES} with each that follows; games that evaluate a version are not among them"
)


@dataclass(slots=True)
class Recent:
    """Of the games with one value of a label."""

    games: int = 0
    return_mean: float = 0.0
    win_rate: float = 0.0
    known: int = 0  # games of which it is known whether they were won

    def add(self, total: float, won: float | None) -> None:
        """Add a game; `won` is 1, 0, or None where the run's game reports no wins."""
        self.games += 1
        self.return_mean += (total - self.return_mean) / min(self.games, GAMES)
        if won is not None:
            self.known += 1
            self.win_rate += (won - self.win_rate) / min(self.known, GAMES)


class LabelFigures:
    """The figures of each value of each label, in the order in which these were first seen."""

    def __init__(self) -> None:
        self._labels: dict[str, dict[str, Recent]] = {}

    def code(self, labels: Labels) -> int:
        """A number that stands for the labels of a game, as far as there is room for them."""
        found = 0
        for name, value in labels:
            if name not in self._labels and len(self._labels) >= LABELS_MAX:
                continue
            values = self._labels.setdefault(name, {})
            if value not in values and len(values) - (OTHER in values) >= VALUES_MAX:
                value = OTHER  # noqa: PLW2901
            values.setdefault(value, Recent())
            digit = VALUES_MAX + 1 if value == OTHER else 1 + _index(values, value)
            found += digit * _BASE ** _index(self._labels, name)
        return found

    def add(self, code: int, total: float, won: float | None) -> None:
        """Add the game whose labels the code stands for."""
        for values in self._labels.values():
            code, digit = divmod(code, _BASE)
            if digit == VALUES_MAX + 1:
                values[OTHER].add(total, won)
            elif digit:
                named = [each for value, each in values.items() if value != OTHER]
                named[digit - 1].add(total, won)

    def metrics(self) -> dict[str, dict[str, dict[str, float | int | None]]]:
        """By label and value: games, return_mean, and win_rate, which is None where no game reported it."""
        return {
            name: {
                value: {
                    "games": each.games,
                    "return_mean": float(f"{each.return_mean:.6g}"),
                    "win_rate": float(f"{each.win_rate:.6g}") if each.known else None,
                }
                for value, each in values.items()
                if each.games
            }
            for name, values in self._labels.items()
        }

    def state(self) -> dict[str, Any]:
        """For `restore`."""
        return {
            name: [[value, each.games, each.return_mean, each.win_rate, each.known] for value, each in values.items()]
            for name, values in self._labels.items()
        }

    def restore(self, state: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        """Continue from a decoded result of `state`. Raises TypeError or ValueError if it is not one."""
        self._labels = {
            str(name): {
                str(value): Recent(index(games), finite(total), finite(won), index(known))
                for value, games, total, won, known in values
            }
            for name, values in state.items()
        }


def _index(values: Mapping[str, Any], value: str) -> int:
    """The position of a value among those that are not `other`."""
    return [each for each in values if each != OTHER].index(value)
