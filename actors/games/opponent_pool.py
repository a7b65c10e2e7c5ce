"""Opponents for self-play: past versions of the policy, each with an Elo rating, and the rule that selects them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..inference.policy import Policy
    from .two_player_game import PlayerPolicy

CAPACITY = 16  # past versions kept; when there are more, every second one is removed
LATEST_SHARE = 0.5  # fraction of games against the latest version; the others are against past versions
ACTIVE_OPPONENTS = 2  # past versions in use at a time: each one needs a forward pass of its own at every step
MIN_WEIGHT = 0.01  # so that opponents that always lose are still selected sometimes: the policy may unlearn how to win
RATING_STEP = 8.0  # Elo's K: how many points one game can change; small, since an actor plays thousands of games
SCORE_STEP = 0.02  # weight of one game in the running mean score against an opponent: a window of about 50 games


@dataclass(eq=False, slots=True)
class Opponent:
    """A player that the learning policy plays against."""

    name: str
    act: PlayerPolicy
    rating: float = 0.0  # Elo; the random player has 0
    score: float = 0.5  # the learning policy's mean score against this opponent: 1 a win, 0.5 a draw, 0 a loss
    games: int = 0


class Opponents(Protocol):
    """Chooses an opponent for each new game."""

    def on_policy(self, policy: Policy) -> None:
        """Called when the actor plays with this version of the policy."""

    def draw(self, count: int) -> list[Opponent]:
        """The opponents of `count` new games."""

    def record(self, opponent: Opponent, score: float) -> None:
        """Record the result of a game: 1 for the learning policy's win, 0.5 for a draw, 0 for a loss."""

    def metrics(self) -> dict[str, str]:
        """Fields for the actor's heartbeat."""


class FixedOpponent:
    """The same opponent in every game."""

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
    """The latest version, past versions spread evenly over the run, and one permanent opponent (the random player).

    Past versions are selected with a probability proportional to (1 - score) squared, so that hard opponents are played
    most often: the prioritised fictitious self-play of AlphaStar (Vinyals et al. 2019). A past version keeps the
    rating it had when it was added, and the permanent opponent's rating is 0. The latest version's rating can therefore
    be compared over the whole run.
    """

    def __init__(self, permanent: Opponent, rng: np.random.Generator) -> None:
        self._permanent, self._rng = permanent, rng
        self.past: list[Opponent] = []
        self.rating = permanent.rating  # of the latest version
        self._latest: Opponent | None = None
        self._policy: Policy | None = None
        self._active = [permanent]
        self._versions_seen, self._stride = 0, 1

    def on_policy(self, policy: Policy) -> None:
        """See Opponents. One of every `_stride` versions becomes a past version."""
        if policy is self._policy:
            return
        self._policy = policy
        act = _sampling(policy)
        if self._versions_seen % self._stride == 0:
            self.past.append(Opponent(f"{policy.pointer.epoch}-{policy.pointer.version}", act, self.rating))
            if len(self.past) > CAPACITY:
                self.past = self.past[::2]
                self._stride *= 2
        self._versions_seen += 1
        if self._latest is None:
            self._latest = Opponent("latest", act)
        self._latest.act = act  # games in progress change to the new version too, as the learning policy does
        candidates = [self._permanent, *self.past]
        count = min(ACTIVE_OPPONENTS, len(candidates))
        picked = self._rng.choice(len(candidates), count, replace=False, p=weights(candidates))
        self._active = [candidates[index] for index in picked]

    def draw(self, count: int) -> list[Opponent]:
        """See Opponents."""
        picked = self._rng.integers(len(self._active), size=count)
        against_latest = self._rng.random(count) < LATEST_SHARE
        return [
            self._latest if latest and self._latest else self._active[index]
            for latest, index in zip(against_latest, picked, strict=True)
        ]

    def record(self, opponent: Opponent, score: float) -> None:
        """See Opponents. A game against the latest version does not change the rating: both players are the same."""
        opponent.games += 1
        opponent.score += SCORE_STEP * (score - opponent.score)
        if opponent is not self._latest:
            self.rating += RATING_STEP * (score - expected_score(self.rating, opponent.rating))

    def metrics(self) -> dict[str, str]:
        """See Opponents."""
        hardest = min([self._permanent, *self.past], key=lambda opponent: opponent.score)
        return {
            "elo": f"{self.rating:.0f}",
            "opponents": str(len(self.past) + 2),
            "hardest_opponent": hardest.name,
            "hardest_score": f"{hardest.score:.2f}",
        }


def expected_score(rating: float, other: float) -> float:
    """The expected score of a player rated `rating` against one rated `other`, by the Elo formula."""
    return float(1 / (1 + 10 ** ((other - rating) / 400)))


def weights(opponents: Sequence[Opponent]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The probability of each opponent to be selected, [N]; the lower the score against it, the higher."""
    unscaled = np.array([MIN_WEIGHT + (1 - opponent.score) ** 2 for opponent in opponents])
    return unscaled / unscaled.sum()


def _sampling(policy: Policy) -> PlayerPolicy:
    """A version of the policy as a player that samples its actions, as in training."""
    return lambda observations, masks, rng: policy.act(observations, masks, rng)[0]
