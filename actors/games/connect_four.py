"""Connect four, B games at once: players drop stones into columns, and the first with four in a line wins.

A player's stones are the bits of a 64-bit integer: seven bits a column, columns from left to right, the lowest row
first. The seventh bit of a column is always 0. It separates the columns: no line continues from the top of a column to
the bottom of the next one, and a carry stops there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ...common.actions import Discrete
from ...common.spec import GameSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.policy.network import Floats
    from .two_player_game import Masks, PlayerIndices, PlayerPolicy

    Bits: TypeAlias = NDArray[np.uint64]

ROWS, COLUMNS = 6, 7
_ONE, _TWO, _THREE = np.array([1, 2, 3], np.uint64)
_BOTTOM = _ONE << (7 * np.arange(COLUMNS, dtype=np.uint64))  # the lowest square of each column
_COLUMN = _BOTTOM * np.uint64(2**ROWS - 1)
_TOP = _BOTTOM << np.uint64(ROWS - 1)
_FULL = _COLUMN.sum()
_SHIFTS = np.array([1, 6, 7, 8], np.uint64)[:, None]  # the distance in bits: up; right and down, right, right and up
_ACROSS = _SHIFTS[1:, None]  # all but up, for stones [2, N] too
# The bit of each square, [rows, columns] from the lowest row.
_SQUARES = np.arange(ROWS, dtype=np.uint64)[:, None] + 7 * np.arange(COLUMNS, dtype=np.uint64)
_WEIGHTS = (_ONE << _SQUARES).ravel()


def has_line(stones: Bits) -> NDArray[np.bool_]:
    """Whether the stones [N] of a player have four in a line, [N]."""
    pairs = stones & (stones >> _SHIFTS)
    return (pairs & (pairs >> (_SHIFTS + _SHIFTS))).any(axis=0)


def threats(stones: Bits, occupied: Bits) -> Bits:
    """The empty squares [S, N] that would complete four in a line of `stones` [S, N]. `occupied` [N]: all stones."""
    found = (stones << _ONE) & (stones << _TWO) & (stones << _THREE)
    after, before = stones >> _ACROSS, stones << _ACROSS
    lines = after & (stones >> _ACROSS * _TWO) & ((stones >> _ACROSS * _THREE) | before)
    lines |= before & (stones << _ACROSS * _TWO) & ((stones << _ACROSS * _THREE) | after)
    return (found | np.bitwise_or.reduce(lines, axis=0)) & (_FULL ^ occupied)


def landings(occupied: Bits) -> Bits:
    """The squares [N] that the next stone can land on: the lowest empty one of each column."""
    return (occupied + _BOTTOM.sum()) & _FULL  # in each column the carry passes the stones, to the first empty square


class ConnectFour:
    """`num_envs` games of connect four, as a TwoPlayerGame.

    An observation is six planes [6 rows, 7 columns], the lowest row first. Planes 0 and 1: the player's own stones and
    the opponent's. Planes 2 and 3: own threats and the opponent's (empty squares that would complete a line). Planes 4
    and 5: those threats that a stone can land on now. Threats are part of the observation because dense layers, unlike
    convolutions, would have to learn every line separately.
    """

    spec = GameSpec("ConnectFour", (6, ROWS, COLUMNS), Discrete(COLUMNS), masked=True)

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.scripted_players: Mapping[str, PlayerPolicy] = {"lookahead": lookahead}
        self._stones = np.zeros((2, num_envs), np.uint64)
        self._moves = np.zeros(num_envs, np.intp)
        self._each = np.arange(num_envs)

    @property
    def current_players(self) -> PlayerIndices:
        """See TwoPlayerGame."""
        return self._moves & 1

    def reset(self, seed: int) -> None:  # noqa: ARG002 - connect four has no randomness
        """See TwoPlayerGame."""
        self.reset_games(np.ones(self.num_envs, np.bool_))

    def reset_games(self, games: NDArray[np.bool_]) -> None:
        """See TwoPlayerGame."""
        self._stones[:, games] = 0
        self._moves[games] = 0

    def observe(self, players: PlayerIndices) -> NDArray[np.float32]:
        """See TwoPlayerGame."""
        stones = np.stack([self._stones[players, self._each], self._stones[1 - players, self._each]])
        occupied = stones[0] | stones[1]
        threatened = threats(stones, occupied)
        planes = np.concatenate([stones, threatened, threatened & landings(occupied)]).T
        return ((planes[:, :, None, None] >> _SQUARES) & _ONE).astype(np.float32)

    def action_masks(self) -> NDArray[np.bool_]:
        """See TwoPlayerGame."""
        return ((self._stones[0] | self._stones[1])[:, None] & _TOP) == 0

    def step(self, actions: ActionArray, games: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """See TwoPlayerGame."""
        current_players, occupied = self.current_players, self._stones[0] | self._stones[1]
        placed = landings(occupied) & _COLUMN[actions] * games
        own = self._stones[current_players, self._each] | placed
        self._stones[current_players, self._each] = own
        self._moves += games
        won = has_line(own) & games
        full = ((occupied | placed) == _FULL) & games
        return won | full, np.where(won, 1 - 2 * current_players, 0).astype(np.float32)

    def render(self) -> str:
        """The board of the first game as text, the highest row first; X are the stones of player 0."""
        ours, theirs = (int(stones[0]) for stones in self._stones)
        rows = [
            " ".join("X" if ours >> int(at) & 1 else "O" if theirs >> int(at) & 1 else "." for at in squares)
            for squares in _SQUARES[::-1]
        ]
        return "\n".join([*rows, " ".join(map(str, range(COLUMNS)))])

    def close(self) -> None:
        """See TwoPlayerGame. There are no resources to release."""


def lookahead(observations: Floats, masks: Masks | None, rng: np.random.Generator) -> ActionArray:
    """A player that looks one move ahead: it wins if it can, else blocks the opponent's win, else moves at random."""
    assert masks is not None
    stones: Bits = (observations[:, :2] > 0).reshape(len(observations), 2, -1).astype(np.uint64) @ _WEIGHTS
    occupied = stones[:, 0] | stones[:, 1]
    choice = masks
    # The opponent's threats first: an own win, which comes last, replaces the choice to block.
    for squares in threats(stones.T, occupied)[::-1] & landings(occupied):
        columns = (squares[:, None] & _COLUMN) != 0
        choice = np.where(columns.any(axis=1, keepdims=True), columns, choice)
    return (choice + rng.random(choice.shape)).argmax(axis=1).astype(np.int32)
