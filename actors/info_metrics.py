"""Numbers from the infos of games that ended, by the names that `--metric` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..common.errors import ConfigError
from ..common.own_metrics import VALUE_MAX, OwnMetrics, of_games
from ..common.process.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

_log = Log("actor")
_NAMES_SHOWN = 20


class InfoMetrics:
    """Reads the numbers of these names. What is left out, or is not there, is warned of, once a name."""

    def __init__(self, names: Sequence[str] = (), warn: Callable[[str], None] | None = None) -> None:
        """Args: warn: is told of what is left out; None: the log alone."""
        self.names = tuple(sorted(names))
        self._warn_of = warn or _log.warning
        self._warned: set[str] = set()
        self._reported: set[str] = set()  # names that a game had a number of
        self._there = ""  # the names of the numbers that a game had which lacks one of these

    @property
    def missing(self) -> str:
        """A sentence on the names that no game has reported, of those that ended; empty if there are none."""
        missing = [name for name in self.names if name not in self._reported]
        if not (missing and self._there):
            return ""
        return f"metric {', '.join(missing)}: reported by no game that has ended; their infos have {self._there}"

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
            if not _has(name, infos, ended):
                self._miss(name, infos, ended)
                continue
            self._reported.add(name)
            values, there = _column(name, infos, ended)
            for at, column in enumerate(columns):
                if not there[column]:
                    continue
                if abs(values[column]) <= VALUE_MAX:
                    found[at].append((name, float(values[column])))
                else:
                    self._warn(name, f"{values[column]}, expected a finite number of at most {VALUE_MAX:g} either way")
        return of_games(map(tuple, found))

    def _miss(self, name: str, infos: Mapping[str, Any], ended: NDArray[np.bool_]) -> None:
        if name not in self._reported and name not in self._warned:
            self._there = _numbers(infos, ended)
            self._warn(name, f"not in the infos of a game that ended; they have {self._there}")

    def _warn(self, name: str, problem: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            self._warn_of(f"metric {name} left out: {problem}")


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


def _has(name: str, infos: Mapping[str, Any], ended: NDArray[np.bool_]) -> bool:
    """Whether a game that ended has something under the name."""
    return name in infos and bool((ended & np.asarray(infos.get(f"_{name}", True), np.bool_)).any())


def _numbers(infos: Mapping[str, Any], ended: NDArray[np.bool_]) -> str:
    """The names under which games that ended have one number each."""
    found = [name for name in infos if not name.startswith("_") and _is_number(name, infos, ended)]
    return ", ".join(found[:_NAMES_SHOWN] + ["..."] * (len(found) > _NAMES_SHOWN)) or "none"


def _is_number(name: str, infos: Mapping[str, Any], ended: NDArray[np.bool_]) -> bool:
    try:
        _column(name, infos, ended)
    except ConfigError:
        return False
    return _has(name, infos, ended)
