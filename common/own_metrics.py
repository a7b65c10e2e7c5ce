"""A game's own metrics in an entry's header: a few numbers a game, by the names that the game gives them.

In the header they are JSON, with one number a game, null where it has none:

    {"supply": [171.5, 160.0], "scouted": [1.0, null]}
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .errors import ConfigError, WireError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OwnMetrics = tuple[tuple[str, float], ...]  # of one game: names, in their order, and numbers
NO_METRICS: Final[OwnMetrics] = ()

STATISTIC = "metric_"  # before a name among the run's statistics
NAMES_MAX = 32  # of a run
NAME_MAX = 64  # characters
VALUES_MAX = 1 << 17  # of an entry
VALUE_MAX = 1e15
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
_NUMBER_BYTES = 32  # of one number, generously


def check_name(name: object) -> str:
    """The name. Raises ConfigError if it is none for a metric."""
    if not isinstance(name, str) or len(name) > NAME_MAX or not _NAME.fullmatch(name):
        raise ConfigError(
            f"metric: {name!r:.80}, expected a name of at most {NAME_MAX} letters, digits, dots, dashes, slashes and "
            "underscores"
        )
    return name


def check_value(name: str, value: float) -> float:
    """The value. Raises ConfigError if it is not finite, or too large to be averaged."""
    if not abs(value) <= VALUE_MAX:
        raise ConfigError(f"metric {name}: {value}, expected a finite number of at most {VALUE_MAX:g} either way")
    return value


def metrics_to_text(games: Sequence[OwnMetrics]) -> str:
    """The header's field for the metrics of each game. With more names than an entry may have, the first of them."""
    most = _names_max(len(games))
    columns: dict[str, list[float | None]] = {}
    for game, pairs in enumerate(games):
        for name, value in pairs:
            if name not in columns and len(columns) < most:
                columns[name] = [None] * len(games)
            if name in columns:
                columns[name][game] = float(value)
    return json.dumps(columns, separators=(",", ":"), allow_nan=False, sort_keys=True)


def metrics_from_text(text: bytes, games: int) -> tuple[OwnMetrics, ...]:
    """The inverse, for what anybody may have written. Raises WireError."""
    raw: Any = None
    most = _names_max(games)
    if len(text) <= most * (NAME_MAX + _NUMBER_BYTES * (games + 1)):
        with suppress(ValueError, RecursionError):
            raw = json.loads(text)
    few = isinstance(raw, dict) and 0 < len(raw) <= most
    if not (few and all(_is_column(name, values, games) for name, values in raw.items())):
        raise WireError(
            f"entry: metrics are {text!r:.40}, expected JSON with at most {most} names, each with a finite number "
            "or null a game"
        )
    return tuple(
        tuple((name, float(values[game])) for name, values in raw.items() if values[game] is not None)
        for game in range(games)
    )


def of_games(metrics: Iterable[OwnMetrics]) -> tuple[OwnMetrics, ...]:
    """The metrics of each game; empty where no game has any."""
    found = tuple(metrics)
    return found if any(found) else ()


def metrics_of(stored: Any) -> OwnMetrics:  # noqa: ANN401 - from a decoded map
    """One game's metrics as they were stored. Raises TypeError if they are none."""
    if not isinstance(stored, dict) or not all(
        isinstance(name, str) and _is_number(each) for name, each in stored.items()
    ):
        raise TypeError(f"{stored!r:.40}, expected finite numbers by name")
    return tuple((name, float(value)) for name, value in stored.items())


def _names_max(games: int) -> int:
    """How many names an entry with so many games may have."""
    return min(NAMES_MAX, max(VALUES_MAX // max(games, 1), 1))


def _is_column(name: str, values: object, games: int) -> bool:
    return (
        len(name) <= NAME_MAX
        and _NAME.fullmatch(name) is not None
        and isinstance(values, list)
        and len(values) == games
        and all(each is None or _is_number(each) for each in values)
    )


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= VALUE_MAX and math.isfinite(value)
