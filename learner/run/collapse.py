"""Notices a collapse of the return, from the games that arrive: a policy that has unlearned what it could do. Pure.

Games are taken in blocks. A block is the games that were played by one version, with which it begins, and the versions
after it: at least BLOCK_GAMES games, over at least BLOCK_VERSIONS versions. The best block is that of the highest mean
return, less two standard errors. The return has collapsed once, for BLOCKS blocks in a row, the mean has lost SHARE of
what the run had gained: of the best block's mean over the first one's. By the gain, and not by the return, so that it
does not matter which number stands for nothing: at Pendulum, -1200 is where a run begins.

A gain or a loss only counts where it is more than NOISE standard errors of the difference of two means over BLOCK_GAMES
games, however many games the blocks have: 0.57 standard deviations of the single games' returns, where both blocks have
the same. So a game that is never learnt is never unlearned, and a noisy one has to fall further.
"""

from __future__ import annotations

import math
from operator import index
from typing import TYPE_CHECKING, Any, Literal

from .best_version import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BLOCK_GAMES = 100
BLOCK_VERSIONS = 10  # so that a state is kept once in ten commits at most, and a block outlives an odd update
BLOCKS = 2
SHARE = 0.5
NOISE = 4.0  # by simulation one alarm in 21,000 runs of 10,000 games whose return stays as it is
_LEAST_ERRORS = 2.0  # a block with one huge return is not the best
_RETURN_MAX = 1e100  # so that no square overflows

Outcome = Literal["best", "usual", "low", "collapse"]


class Collapse:
    """The blocks of a run. Stored with the learner's state."""

    def __init__(self) -> None:
        self.first: Tally | None = None
        self.best: Tally | None = None
        self.last: Tally | None = None  # the last complete one
        self.collapsed = False  # until a block is not low
        self._block, self._since = Tally(), 0  # of games by this version or later ones
        self._low = 0  # blocks in a row

    def add(self, games: Iterable[tuple[int, float]]) -> None:
        """Add games: the version that played each, or the oldest of them, and the return.

        Games of versions before the block say nothing of it: they were in play when it began.
        """
        for version, total in games:
            if version >= self._since:
                self._block.add(min(max(total, -_RETURN_MAX), _RETURN_MAX), None)

    def complete(self, version: int) -> bool:
        """Whether the block can be judged, now that `version` is the next to be published."""
        return self._block.games >= BLOCK_GAMES and version - self._since >= BLOCK_VERSIONS

    def judge(self) -> Outcome:
        """Judge the block; `begin` must follow. A collapse is said once, until a block is not low."""
        self.last, block = self._block, self._block
        if self.first is None:
            self.first = block
        if self.best is None or _at_least(block) > _at_least(self.best):
            self.best = block
            self._low, self.collapsed = 0, False
            return "best"
        if not self._is_low(block, self.first, self.best):
            self._low, self.collapsed = 0, False
            return "usual"
        self._low += 1
        if self._low < BLOCKS or self.collapsed:
            return "low"
        self.collapsed = True
        return "collapse"

    def begin(self, version: int) -> None:
        """Begin a block with the games of `version`."""
        self._block, self._since = Tally(), version

    def look_again(self) -> None:
        """Something was done about a collapse: the blocks from now on tell whether it was the right thing."""
        self._low, self.collapsed = 0, False

    def state(self) -> dict[str, Any]:
        """For `restore`."""
        tallies = {name: each and _numbers(each) for name, each in self._tallies().items()}
        return {**tallies, "since": self._since, "low": self._low, "collapsed": self.collapsed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a decoded result of `state`. Raises TypeError, KeyError or ValueError if it is not one."""
        found = {name: _tally(state[name]) for name in self._tallies()}
        self.first, self.best, self.last = (found[name] for name in ("first", "best", "last"))
        self._block = found["block"] or Tally()
        self._since, self._low, self.collapsed = index(state["since"]), index(state["low"]), bool(state["collapsed"])

    def _tallies(self) -> dict[str, Tally | None]:
        return {"first": self.first, "best": self.best, "last": self.last, "block": self._block}

    @staticmethod
    def _is_low(block: Tally, first: Tally, best: Tally) -> bool:
        gain, loss = best.mean - first.mean, best.mean - block.mean
        return loss > SHARE * gain > 0 and gain > NOISE * _error(best, first) and loss > NOISE * _error(best, block)


def _at_least(block: Tally) -> float:
    return block.mean - _LEAST_ERRORS * _error(block)


def _error(*blocks: Tally) -> float:
    """The standard error of a mean over BLOCK_GAMES of a block's games, or of the difference of two."""
    return math.sqrt(sum(max(block.squares, 0.0) / max(block.games - 1, 1) / BLOCK_GAMES for block in blocks))


def _numbers(tally: Tally) -> list[float]:
    return [tally.games, tally.mean, tally.squares]


def _tally(raw: list[Any] | None) -> Tally | None:
    if raw is None:
        return None
    games, mean, squares = raw
    games, mean, squares = index(games), float(mean), float(squares)
    if games < 0 or not math.isfinite(mean) or not 0 <= squares < math.inf:
        raise ValueError(f"{raw!r:.80}, expected games, their mean return, and the squares of the differences")
    return Tally(games, mean, squares)
