"""Opponents of self-play: the policy's own past versions, each with a rating, and the rule by which they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..inference.policy import Policy
    from .two_player_game import PlayerPolicy

CAPACITY = 16  # versions kept; when full, every second one goes
LATEST_SHARE = 0.5  # of the games are against the latest version, the others against past ones
SLATE = 2  # past versions played against at a time: each is a forward pass of its own at every step
FLOOR = 0.01  # what has long been beaten is still met now and then, lest it be unlearnt
RATING_STEP = 8.0  # Elo points a game can move; small, since an actor plays thousands
SCORE_STEP = 0.02  # of the running mean score against one opponent: that of its last fifty games or so


@dataclass(eq=False, slots=True)
class Opponent:
    """Somebody to play against."""

    name: str
    play: PlayerPolicy
    rating: float = 0.0  # Elo, where the random player has 0
    score: float = 0.5  # ours against this one: 1 a win, 0.5 a draw
    games: int = 0


class Opponents(Protocol):
    """Who sits down opposite."""

    def on_policy(self, policy: Policy) -> None:
        """Take note of the version that plays now."""

    def draw(self, count: int) -> list[Opponent]:
        """Opponents for `count` games that begin."""

    def record(self, opponent: Opponent, score: float) -> None:
        """Take note of a game's end: 1 for our win, 0.5 for a draw, 0 for a loss."""

    def metrics(self) -> dict[str, str]:
        """What a heartbeat can say about them."""


class FixedOpponent:
    """The same opponent always."""

    def __init__(self, opponent: Opponent) -> None:
        self._opponent = opponent

    def on_policy(self, policy: Policy) -> None:
        """See Opponents."""

    def draw(self, count: int) -> list[Opponent]:
        """See Opponents."""
        return [self._opponent] * count

    def record(self, opponent: Opponent, score: float) -> None:
        """See Opponents."""

    def metrics(self) -> dict[str, str]:
        """See Opponents."""
        return {}


class OpponentPool:
    """The latest version, past ones spread evenly over the run, and a first player who never leaves.

    Past versions are drawn by how hard they are for us: by (1 - score) squared, the prioritised fictitious self-play
    of AlphaStar (Vinyals et al. 2019). A version keeps the rating that it had when it joined, and the first player's
    is 0: so the latest version's rating is comparable over the whole run.
    """

    def __init__(self, first: Opponent, rng: np.random.Generator) -> None:
        self._first, self._rng = first, rng
        self.past: list[Opponent] = []
        self.rating = first.rating  # of the version that plays
        self._latest: Opponent | None = None
        self._policy: Policy | None = None
        self._slate = [first]
        self._met, self._stride = 0, 1

    def on_policy(self, policy: Policy) -> None:
        """See Opponents. Each version is met once; every so manieth joins the past ones."""
        if policy is self._policy:
            return
        self._policy = policy
        play = _sampling(policy)
        if self._met % self._stride == 0:
            self.past.append(Opponent(f"{policy.pointer.epoch}-{policy.pointer.version}", play, self.rating))
            if len(self.past) > CAPACITY:
                self.past = self.past[::2]
                self._stride *= 2
        self._met += 1
        if self._latest is None:
            self._latest = Opponent("latest", play)
        self._latest.play = play  # in the games that are under way too, as on our own side
        candidates = [self._first, *self.past]
        picked = self._rng.choice(len(candidates), min(SLATE, len(candidates)), replace=False, p=weights(candidates))
        self._slate = [candidates[index] for index in picked]

    def draw(self, count: int) -> list[Opponent]:
        """See Opponents."""
        picked = self._rng.integers(len(self._slate), size=count)
        against_latest = self._rng.random(count) < LATEST_SHARE
        return [
            self._latest if latest and self._latest else self._slate[index]
            for latest, index in zip(against_latest, picked, strict=True)
        ]

    def record(self, opponent: Opponent, score: float) -> None:
        """See Opponents. A game against oneself says nothing about either."""
        opponent.games += 1
        opponent.score += SCORE_STEP * (score - opponent.score)
        if opponent is not self._latest:
            self.rating += RATING_STEP * (score - expected_score(self.rating, opponent.rating))

    def metrics(self) -> dict[str, str]:
        """See Opponents."""
        hardest = min([self._first, *self.past], key=lambda opponent: opponent.score)
        return {
            "elo": f"{self.rating:.0f}",
            "opponents": str(len(self.past) + 2),
            "hardest_opponent": hardest.name,
            "hardest_score": f"{hardest.score:.2f}",
        }


def expected_score(rating: float, other: float) -> float:
    """Elo's expectation of the score of one rated `rating` against one rated `other`."""
    return float(1 / (1 + 10 ** ((other - rating) / 400)))


def weights(opponents: Sequence[Opponent]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The probabilities by which opponents are drawn: the harder, the likelier."""
    hard = np.array([FLOOR + (1 - opponent.score) ** 2 for opponent in opponents])
    return hard / hard.sum()


def _sampling(policy: Policy) -> PlayerPolicy:
    """A version as a player: it draws its actions, as it did when it was trained."""
    return lambda observations, masks, rng: policy.act(observations, masks, rng)[0]
