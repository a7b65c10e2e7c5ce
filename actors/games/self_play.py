"""A two-player game as a VectorGame of one player: the opponent moves inside the game's step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
MAX_OPENING_MOVES = 12  # upper limit of the random moves at the start of a game of self-play


class SelfPlay:
    """A VectorGame of one player of a two-player game.

    In each column the learning policy alternates between player 0 and player 1 from game to game; half of the columns
    start with each. Opponents are past versions of the policy (the caller reports each version it plays with to
    `opponents.on_policy`) and a random player. With `against`, a name and a policy, that player is the only opponent.
    """

    def __init__(self, game: TwoPlayerGame, against: tuple[str, PlayerPolicy] | None = None) -> None:
        self._game, self._against = game, against
        self._random_player = random_player(game.spec)
        self.spec = replace(game.spec, wins=True)
        self.num_envs = game.num_envs
        self._start(0)

    def _start(self, seed: int) -> None:
        play_seed, pool_seed = np.random.SeedSequence(seed).spawn(2)
        self._rng = np.random.default_rng(play_seed)
        self.opponents: Opponents
        if self._against is not None:
            self.opponents = FixedOpponent(Opponent(*self._against))
        else:
            permanent = Opponent(RANDOM, self._random_player)
            self.opponents = OpponentPool(permanent, np.random.default_rng(pool_seed))
        # [B], the player that the learning policy plays. The first game's start swaps it.
        self._players = 1 - np.arange(self.num_envs) % 2
        self._opponent_of = self.opponents.draw(self.num_envs)  # by column
        self._ended = np.zeros(self.num_envs, np.bool_)

    def reset(self, seed: int) -> Step:
        """See VectorGame. The opponent pool starts empty again."""
        self._start(seed)
        self._game.reset(seed)
        self._ended[:] = True
        return self.step(np.zeros((self.num_envs, *self.spec.actions.shape), self.spec.actions.dtype))

    def step(self, actions: ActionArray) -> Step:
        """See VectorGame. Plays our action, then the opponents' actions until it is our turn again."""
        starting = self._ended
        if starting.any():
            self._game.reset_games(starting)
            self._start_games(starting)
        over, scores = self._game.step(actions, ~starting)
        self._play_opponents(over, scores)
        # After the random opening the opponent may win with its first move. Such a game starts again without one.
        if (lost_at_once := starting & over).any():
            self._game.reset_games(lost_at_once)
            over[lost_at_once], scores[lost_at_once] = False, 0
            self._play_opponents(over, scores)
        rewards = np.where(self._players == 0, scores, -scores)
        for column in np.flatnonzero(over):
            self.opponents.record(self._opponent_of[column], 0.5 + 0.5 * float(np.sign(rewards[column])))
        masks = self._game.action_masks()
        self._ended = over
        return Step(
            observations=self._game.observe(self._players),
            rewards=rewards.astype(np.float32),
            terminated=over,
            truncated=np.zeros(self.num_envs, np.bool_),
            masks=None if masks is None else masks | over[:, None],  # the action of a game that has ended is ignored
            wins=over & (rewards > 0),
        )

    def render(self) -> Any:  # noqa: ANN401 - text or an array, as the game has it
        """What the two-player game's own `render` shows of the first game; None if it has none."""
        shown = getattr(self._game, "render", lambda: None)()
        return f"{shown}\nthe policy is player {self._players[0]}" if isinstance(shown, str) else shown

    def close(self) -> None:
        """See VectorGame."""
        self._game.close()

    def _start_games(self, games: NDArray[np.bool_]) -> None:
        """Swap the players, draw an opponent, and play the random opening, in each game [B] that starts."""
        self._players = np.where(games, 1 - self._players, self._players)
        columns = np.flatnonzero(games)
        for column, opponent in zip(columns, self.opponents.draw(len(columns)), strict=True):
            self._opponent_of[column] = opponent
        if self._against is None:
            self._play_random_opening(games)

    def _play_random_opening(self, games: NDArray[np.bool_]) -> None:
        """Play a random number of random moves. If they end a game, it starts again with the moves that remain."""
        moves = self._rng.integers(MAX_OPENING_MOVES + 1, size=self.num_envs) * games
        while (opening := moves > 0).any():
            observations = self._game.observe(self._game.current_players)
            actions = self._random_player(observations, self._game.action_masks(), self._rng)
            ended, _ = self._game.step(actions, opening)
            self._game.reset_games(ended)
            moves -= opening

    def _play_opponents(self, over: NDArray[np.bool_], scores: NDArray[np.float32]) -> None:
        """Let the opponents move while it is their turn. Updates `over` [B] and `scores` [B] in place."""
        while (theirs := ~over & (self._game.current_players != self._players)).any():
            ended, gained = self._game.step(self._opponent_actions(theirs), theirs)
            over |= ended
            scores += gained

    def _opponent_actions(self, games: NDArray[np.bool_]) -> ActionArray:
        """The opponents' actions in the games selected by `games` [B], with one call for each opponent; 0 elsewhere."""
        observations, masks = self._game.observe(1 - self._players), self._game.action_masks()
        actions = np.zeros((self.num_envs, *self.spec.actions.shape), self.spec.actions.dtype)
        columns: dict[Opponent, list[int]] = {}
        for column in np.flatnonzero(games).tolist():
            columns.setdefault(self._opponent_of[column], []).append(column)
        for opponent, at in columns.items():
            actions[at] = opponent.act(observations[at], None if masks is None else masks[at], self._rng)
        return actions
