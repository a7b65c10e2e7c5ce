"""The best version by greedy games: a candidate is evaluated and compared, and the best is evaluated once more.

Clients play a share of their games greedily with the candidate, until GAMES of them have arrived. Then the newest
version is the next candidate; unless this one is better than all before. Then it stays for another GAMES: what a
version was chosen by says too much of it, because of many it is the luckiest that is chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ...common.wire.evaluation_plan import EvaluationPlan
from ...common.wire.weights import Pointer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GAMES = 20  # greedy games of a version, before it is compared
EVALUATION_FIGURES_OVER = (
    f"greedy games of one version (eval_version), the first {GAMES} that began and those that ended since; none of "
    "them is trained on, or in another figure"
)

Stage = Literal["choosing", "confirming", "done"]


@dataclass(slots=True)
class Tally:
    """Sums over the greedy games of one version."""

    games: int = 0
    mean: float = 0.0
    squares: float = 0.0  # of the differences from the mean
    wins: int | None = None  # None: the game reports none

    def add(self, total: float, won: float | None) -> None:
        """Add a game; `won` is 1, 0, or None."""
        self.games += 1
        before = total - self.mean
        self.mean += before / self.games
        self.squares += before * (total - self.mean)
        if won is not None:
            self.wins = (self.wins or 0) + int(won)

    def to_json(self) -> dict[str, Any]:
        """As a line of evaluations.jsonl has it."""
        return {
            "mean": float(f"{self.mean:.6g}"),
            "std": float(f"{math.sqrt(max(self.squares, 0.0) / max(self.games, 1)):.6g}"),
            "episodes": self.games,
            "wins": self.wins,
        }


@dataclass(slots=True)
class Evaluated:
    """A version, and its greedy games."""

    pointer: Pointer
    steps: int  # that the run had trained on
    tally: Tally = field(default_factory=Tally)

    def to_json(self) -> dict[str, Any]:
        """As a line of evaluations.jsonl has it."""
        version = {"version": self.pointer.version, "epoch": self.pointer.epoch, "steps": self.steps}
        return {**version, **self.tally.to_json()}

    def is_of(self, epoch: int, version: int) -> bool:
        """Whether it is this version."""
        return (self.pointer.epoch, self.pointer.version) == (epoch, version)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A candidate that has been evaluated."""

    line: dict[str, Any]  # of evaluations.jsonl
    is_best: bool


class BestVersion:
    """Follows the run's versions and their greedy games. Stored with the learner's state."""

    def __init__(self, share: float) -> None:
        """Args: share: of a client's games that are played greedily."""
        self._share = share
        self._stage: Stage = "done"
        self._candidate: Evaluated | None = None
        self._last: Evaluated | None = None  # evaluated last
        self._best: Evaluated | None = None  # with the games that it was chosen by
        self._after = Tally()  # the best version's games since

    @property
    def wants_candidate(self) -> bool:
        """Whether the next version is to be evaluated."""
        return self._share > 0 and self._stage == "done"

    @property
    def plan(self) -> EvaluationPlan:
        """What clients are told."""
        candidate, best = (None if each is None else each.pointer for each in (self._candidate, self._best))
        return EvaluationPlan(self._share, candidate, best)

    @property
    def known(self) -> bool:
        """Whether there is a plan to tell."""
        return self._share > 0 or self._candidate is not None or self._best is not None

    def begin(self, pointer: Pointer, steps: int) -> None:
        """Evaluate this version from now on. `steps` is the number that the run has trained on."""
        self._candidate, self._stage = Evaluated(pointer, steps), "choosing"

    def arrive(self, games: Iterable[tuple[int, int, float, float | None]]) -> Chosen | None:
        """Take in greedy games, in the order in which they began: epoch, version, return, and 1 or 0 if it is known.

        Returns:
            The evaluation of the candidate, if these games complete it.
        """
        chosen = None
        for epoch, version, total, won in games:
            candidate, best, last = self._candidate, self._best, self._last
            if candidate is not None and self._stage == "choosing" and candidate.is_of(epoch, version):
                candidate.tally.add(total, won)
                if candidate.tally.games >= GAMES:
                    chosen = self._choose(candidate)
                continue
            if last is not None and last.is_of(epoch, version):
                last.tally.add(total, won)
            if best is not None and best.is_of(epoch, version):
                self._after.add(total, won)
                if self._stage == "confirming" and self._after.games >= GAMES:
                    self._stage = "done"
        return chosen

    def interrupted(self) -> None:
        """The learner was started again: what it had of the candidate besides its weights is gone."""
        self._stage, self._candidate = "done", None

    def metrics(self) -> dict[str, Any]:
        """For the hash `stats`: of the version that was evaluated last, and of the best one."""
        shown = self._last or self._candidate
        if shown is None or not shown.tally.games:
            return {}
        return {
            "eval_version": shown.pointer.version,
            "eval_games": shown.tally.games,
            "eval_return_mean": f"{shown.tally.mean:.6g}",
            **({} if shown.tally.wins is None else {"eval_win_rate": f"{shown.tally.wins / shown.tally.games:.6g}"}),
        }

    def summary(self) -> dict[str, Any]:
        """The evaluation of the last version and that of the best one, by games since it was chosen; None where none.

        The best one's has `chosen_by`, too: its games before.
        """
        best = None
        if self._best is not None and self._after.games:
            line = self._best.to_json()
            chosen_by = {name: line.pop(name) for name in self._best.tally.to_json()}
            best = {**line, **self._after.to_json(), "chosen_by": chosen_by}
        shown = self._last or self._candidate
        last = shown.to_json() if shown is not None and shown.tally.games else None
        return {"evaluation": last, "evaluation_best": best}

    def state(self) -> dict[str, Any]:
        """For `restore`."""
        return {
            "stage": self._stage,
            **{name: _stored(each) for name, each in self._versions().items()},
            "after": _numbers(self._after),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a decoded result of `state`. Raises TypeError, KeyError or ValueError if it is not one."""
        if state["stage"] not in {"choosing", "confirming", "done"}:
            raise ValueError(f"stage: {state['stage']!r:.40}, expected one of this version of broodmind")
        self._stage = state["stage"]
        self._candidate, self._last, self._best = (_restored(state[name]) for name in self._versions())
        self._after = _tally(state["after"])

    def _versions(self) -> dict[str, Evaluated | None]:
        return {"candidate": self._candidate, "last": self._last, "best": self._best}

    def _choose(self, candidate: Evaluated) -> Chosen:
        self._last = Evaluated(candidate.pointer, candidate.steps, _tally(_numbers(candidate.tally)))
        is_best = self._best is None or candidate.tally.mean > self._best.tally.mean
        self._stage = "done"
        if is_best:
            self._best, self._after, self._stage = candidate, Tally(), "confirming"
        return Chosen(candidate.to_json(), is_best)


def _numbers(tally: Tally) -> list[Any]:
    return [tally.games, tally.mean, tally.squares, tally.wins]


def _tally(raw: list[Any]) -> Tally:
    games, mean, squares, wins = raw
    return Tally(int(games), float(mean), float(squares), None if wins is None else int(wins))


def _stored(each: Evaluated | None) -> list[Any] | None:
    return None if each is None else [each.pointer.to_json(), each.steps, _numbers(each.tally)]


def _restored(raw: list[Any] | None) -> Evaluated | None:
    if raw is None:
        return None
    pointer, steps, tally = raw
    return Evaluated(Pointer.from_json(pointer.encode()), int(steps), _tally(tally))
