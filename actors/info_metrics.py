"""Numbers from the infos of games that ended, by the names that `--metric` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..common.errors import ConfigError
from ..common.own_metrics import VALUE_MAX, OwnMetrics, of_games
from ..common.process.log import Log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_log = Log("actor")


class InfoMetrics:
    """Reads the numbers of these names. A number that is not finite is left out, with a warning once a name."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(sorted(names))
        self._warned: set[str] = set()

    def of_games(self, infos: Mapping[str, Any] | None, ended: NDArray[np.bool_]) -> tuple[OwnMetrics, ...]:
        """The metrics of the games that ended, in the order of their columns.

        Args:
            infos: of the step that ended them, in the layout of Gymnasium's vector environments.
            ended: [B], the columns whose game ended.

        Raises:
            ConfigError: if the game gives no infos, or another thing than numbers under one of the names.
        """
        if infos is None:
            raise ConfigError(f"metric: {', '.join(self.names)}, expected none: the game gives no infos")
        columns = np.flatnonzero(ended)
        found: list[list[tuple[str, float]]] = [[] for _ in columns]
        for name in self.names:
            if name not in infos:
                self._warn(name, f"not in the infos of a game that ended; there are {_names(infos)}")
                continue
            values, there = _column(name, infos, ended)
            for at, column in enumerate(columns):
                if not there[column]:
                    continue
                if abs(values[column]) <= VALUE_MAX:
                    found[at].append((name, float(values[column])))
                else:
                    self._warn(name, f"{values[column]}, expected a finite number of at most {VALUE_MAX:g} either way")
        return of_games(map(tuple, found))

    def _warn(self, name: str, problem: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            _log.warning("metric left out", name=name, problem=problem)


NO_METRICS = InfoMetrics()


def _column(name: str, infos: Mapping[str, Any], ended: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The values of one name, [B], and which of them count."""
    there = np.asarray(infos.get(f"_{name}", np.ones(ended.shape, np.bool_)), np.bool_)
    raw = infos[name]
    try:
        # Values that do not count may be anything: Gymnasium puts None there where the others are objects.
        values = np.array([float(value) if counts else 0.0 for value, counts in zip(raw, there & ended, strict=True)])
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"metric: {name!r} is {raw!r:.80} in the infos, expected one number a game ({error})"
        ) from error
    return values, there


def _names(infos: Mapping[str, Any]) -> str:
    return ", ".join(name for name in infos if not name.startswith("_")) or "none"
