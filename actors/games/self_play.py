"""One seat of a two-seat game, as a game like any other: the opponent moves inside its step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .opponent_pool import FixedOpponent, Opponent, OpponentPool
from .two_player_game import random_player
from .vector_game import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from .opponent_pool import Opponents
    from .two_player_game import PlayerPolicy, TwoPlayerGame

RANDOM = "random"
OPENING = 12  # random moves, at most, with which a game of self-play begins


class SelfPlay:
    """A VectorGame of one seat. Each column's seat changes from game to game, and half of the columns begin with each.

    By itself its opponents are past versions of whoever plays, as `opponents.meet` hears of them, and a random player
    before there are any. With `against` they are that one player.
    """

    def __init__(self, game: TwoPlayerGame, against: tuple[str, PlayerPolicy] | None = None) -> None:
        self._game, self._against = game, against
        self._at_random = random_player(game.spec)
        self.spec = replace(game.spec, wins=True)
        self.num_envs = game.num_envs
        self._start(0)

    def _start(self, seed: int) -> None:
        playing, pooling = np.random.SeedSequence(seed).spawn(2)
        self._rng = np.random.default_rng(playing)
        self.opponents: Opponents
        if self._against is not None:
            self.opponents = FixedOpponent(Opponent(*self._against))
        else:
            first = Opponent(RANDOM, self._at_random)
            self.opponents = OpponentPool(first, np.random.default_rng(pooling))
        self._seats = 1 - np.arange(self.num_envs) % 2  # changed at once by the first game's beginning
        self._opposite = self.opponents.draw(self.num_envs)
        self._ended = np.zeros(self.num_envs, np.bool_)

    def reset(self, seed: int) -> Step:
        """See VectorGame. What the pool had learnt is forgotten."""
        self._start(seed)
        self._game.reset(seed)
        self._ended[:] = True
        return self.step(np.zeros((self.num_envs, *self.spec.actions.shape), self.spec.actions.dtype))

    def step(self, actions: ActionArray) -> Step:
        """See VectorGame: our move, then the opponents', until it is our turn again."""
        beginning = self._ended
        if beginning.any():
            self._game.begin(beginning)
            self._sit_down(beginning)
        over, scores = self._game.play(actions, ~beginning)
        self._reply(over, scores)
        if (spoilt := beginning & over).any():  # the random moves left the opponent a win at once
            self._game.begin(spoilt)
            over[spoilt], scores[spoilt] = False, 0
            self._reply(over, scores)
        rewards = np.where(self._seats == 0, scores, -scores)
        for column in np.flatnonzero(over):
            self.opponents.record(self._opposite[column], 0.5 + 0.5 * float(np.sign(rewards[column])))
        masks = self._game.allowed()
        self._ended = over
        return Step(
            observations=self._game.observe(self._seats),
            rewards=rewards.astype(np.float32),
            terminated=over,
            truncated=np.zeros(self.num_envs, np.bool_),
            masks=None if masks is None else masks | over[:, None],  # an ended game's action is ignored
            wins=over & (rewards > 0),
        )

    def close(self) -> None:
        """See VectorGame."""
        self._game.close()

    def _sit_down(self, games: NDArray[np.bool_]) -> None:
        """Change seats, and find an opponent for each game that begins."""
        self._seats = np.where(games, 1 - self._seats, self._seats)
        columns = np.flatnonzero(games)
        for column, opponent in zip(columns, self.opponents.draw(len(columns)), strict=True):
            self._opposite[column] = opponent
        if self._against is None:
            self._open(games)

    def _open(self, games: NDArray[np.bool_]) -> None:
        """Begin these games with a random number of random moves; where these end one, the rest are another's."""
        moves = self._rng.integers(OPENING + 1, size=self.num_envs) * games
        while (opening := moves > 0).any():
            observations = self._game.observe(self._game.current_players)
            ended, _ = self._game.play(self._at_random(observations, self._game.allowed(), self._rng), opening)
            self._game.begin(ended)
            moves -= opening

    def _reply(self, over: NDArray[np.bool_], scores: NDArray[np.float32]) -> None:
        """Let opponents move in the games that are not over; adds to `over` and `scores` what comes of it."""
        while (theirs := ~over & (self._game.current_players != self._seats)).any():
            ended, gained = self._game.play(self._their_actions(theirs), theirs)
            over |= ended
            scores += gained

    def _their_actions(self, games: NDArray[np.bool_]) -> ActionArray:
        """What the opponents do in these games, one call for each opponent; anything in the other games."""
        observations, masks = self._game.observe(1 - self._seats), self._game.allowed()
        actions = np.zeros((self.num_envs, *self.spec.actions.shape), self.spec.actions.dtype)
        columns: dict[Opponent, list[int]] = {}
        for column in np.flatnonzero(games).tolist():
            columns.setdefault(self._opposite[column], []).append(column)
        for opponent, at in columns.items():
            actions[at] = opponent.play(observations[at], None if masks is None else masks[at], self._rng)
        return actions
