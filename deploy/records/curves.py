"""Learning curves of several runs: smoothed, and grouped over seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .run_settings import SEED, differing, in_words, telling

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_POINTS = 400  # of a mean over runs


@dataclass(frozen=True, slots=True)
class Curve:
    """One run's curve."""

    x: Floats  # [N], rising
    y: Floats  # [N]


@dataclass(frozen=True, slots=True)
class Group:
    """Runs with the same settings, but for the seed."""

    label: str
    curves: list[Curve]

    def mean(self) -> tuple[Floats, Floats, Floats]:
        """x, mean and sample standard deviation [P] over two runs or more, as far as all of them go."""
        low = max(curve.x[0] for curve in self.curves)
        high = min(curve.x[-1] for curve in self.curves)
        x = np.linspace(low, max(low, high), _POINTS)
        values = np.stack([np.interp(x, curve.x, curve.y) for curve in self.curves])
        return x, values.mean(axis=0), values.std(axis=0, ddof=1)


def curve_of(lines: Sequence[Mapping[str, Any]], x: str, y: str, smooth: float = 0.0) -> Curve | None:
    """A run's curve from the lines of its metrics; None if fewer than two of them have both numbers.

    Args:
        lines: in the order in which they were written.
        x: the name of what rises: steps, games or seconds.
        y: the name of what is shown, as in `value_of`.
        smooth: the width of the window, as a share of the curve's own width, over which y is averaged.
    """
    both = ((line.get(x), value_of(line, y)) for line in lines)
    points = [(across, shown) for across, shown in both if _is_number(across) and _is_number(shown)]
    if len(points) < 2:
        return None
    across, values = np.array(points, np.float64).T
    order = np.argsort(across, kind="stable")
    across, values = across[order], values[order]
    return Curve(across, smoothed(across, values, smooth * (across[-1] - across[0])))


def value_of(line: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - of JSON's types
    """What a line of the metrics has by a name: of its own; of the game's own metrics; or `rejected.stale`, a path."""
    for inside in (line, line.get("metrics", {})):
        if name in inside:
            return inside[name]
    found: Any = line
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def names_in(line: Mapping[str, Any]) -> list[str]:
    """The names of the numbers in a line, as `value_of` takes them."""
    own: Mapping[str, Any] = line.get("metrics", {})
    return [name for name in {**line, **own} if not isinstance(line.get(name), dict)]


def smoothed(x: Floats, y: Floats, width: float) -> Floats:
    """The mean of y [N] over a window of `width` around each of x [N], which must rise."""
    sums = np.concatenate([[0.0], np.cumsum(y)])
    first = np.searchsorted(x, x - width / 2, side="left")
    beyond = np.searchsorted(x, x + width / 2, side="right")
    means: Floats = (sums[beyond] - sums[first]) / (beyond - first)
    return means


def groups_of(runs: Sequence[tuple[str, Mapping[str, Any], Curve]], given: Collection[str] = ()) -> list[Group]:
    """Group the runs whose settings are the same but for the seed.

    Args:
        runs: the name, the settings and the curve of each.
        given: the names of settings that were given, which tell the groups apart best.

    Returns:
        The groups in the order of their first runs. A group is labelled with the settings that differ between groups,
        or with the name of its run if it has one and there are none.
    """
    every = [settings for _, settings, _ in runs]
    names, told = differing(every), telling(every, given)
    found: dict[str, list[tuple[str, Curve]]] = {}
    for name, settings, curve in runs:
        same = repr([settings.get(each) for each in names]) if settings else name
        found.setdefault(same, []).append((name, curve))
    by_name = {name: settings for name, settings, _ in runs}
    return [
        Group(_label(members[0][0], by_name[members[0][0]], told, len(members)), [curve for _, curve in members])
        for members in found.values()
    ]


def _label(name: str, settings: Mapping[str, Any], names: Sequence[str], runs: int) -> str:
    label = in_words(settings, names) if names and settings else ""
    if not label:
        label = name if runs == 1 or SEED not in settings else str(settings.get("game", name))
    return label if runs == 1 else f"{label} ({runs} seeds)"


def _is_number(value: Any) -> bool:  # noqa: ANN401 - of JSON's types
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
