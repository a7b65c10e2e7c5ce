"""Connect four: drop stones into columns; who has four in a line first has won. B games at once.

The stones of a seat are the bits of an integer, seven a column from left to right, the lowest row first. The seventh is
always empty: no line can run from one column's top into the next one's foot, and a carry ends there.
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
_FOOT = _ONE << (7 * np.arange(COLUMNS, dtype=np.uint64))  # the lowest square of each column
_COLUMN = _FOOT * np.uint64(2**ROWS - 1)
_TOP = _FOOT << np.uint64(ROWS - 1)
_FULL = _COLUMN.sum()
_SHIFTS = np.array([1, 6, 7, 8], np.uint64)[:, None]  # up, and to the right: down, level, up
_ACROSS = _SHIFTS[1:, None]  # for stones [2, N] too
# The bit of each square, [rows, columns] from the lowest row.
_SQUARES = np.arange(ROWS, dtype=np.uint64)[:, None] + 7 * np.arange(COLUMNS, dtype=np.uint64)
_WEIGHTS = (_ONE << _SQUARES).ravel()


def has_line(stones: Bits) -> NDArray[np.bool_]:
    """Whether there are four in a line, for stones [N]."""
    pairs = stones & (stones >> _SHIFTS)
    return (pairs & (pairs >> (_SHIFTS + _SHIFTS))).any(axis=0)


def threats(stones: Bits, occupied: Bits) -> Bits:
    """All free squares where one more of `stones` [S, N] would make four in a line. `occupied` [N] is both seats'."""
    found = (stones << _ONE) & (stones << _TWO) & (stones << _THREE)
    after, before = stones >> _ACROSS, stones << _ACROSS
    lines = after & (stones >> _ACROSS * _TWO) & ((stones >> _ACROSS * _THREE) | before)
    lines |= before & (stones << _ACROSS * _TWO) & ((stones << _ACROSS * _THREE) | after)
    return (found | np.bitwise_or.reduce(lines, axis=0)) & (_FULL ^ occupied)


def landings(occupied: Bits) -> Bits:
    """All squares that a stone can fall to."""
    return (occupied + _FOOT.sum()) & _FULL  # in each column a carry runs through the stones to the first gap


class ConnectFour:
    """`num_envs` games.

    An observation is six planes of six rows, the lowest first: own stones and the other's; own threats and the other's
    (free squares that would complete a line); and those of them to which a stone can fall now. The threats are spelt
    out because dense layers, unlike convolutions, would have to learn each line by itself.
    """

    spec = GameSpec("ConnectFour", (6, ROWS, COLUMNS), Discrete(COLUMNS), masked=True)

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.players: Mapping[str, PlayerPolicy] = {"lookahead": lookahead}
        self._stones = np.zeros((2, num_envs), np.uint64)
        self._moves = np.zeros(num_envs, np.intp)
        self._each = np.arange(num_envs)

    @property
    def current_players(self) -> PlayerIndices:
        """See TwoSeatGame."""
        return self._moves & 1

    def reset(self, seed: int) -> None:  # noqa: ARG002 - there is no chance in it
        """See TwoSeatGame."""
        self.begin(np.ones(self.num_envs, np.bool_))

    def begin(self, games: NDArray[np.bool_]) -> None:
        """See TwoSeatGame."""
        self._stones[:, games] = 0
        self._moves[games] = 0

    def observe(self, seats: PlayerIndices) -> NDArray[np.float32]:
        """See TwoSeatGame."""
        stones = np.stack([self._stones[seats, self._each], self._stones[1 - seats, self._each]])
        occupied = stones[0] | stones[1]
        threatened = threats(stones, occupied)
        planes = np.concatenate([stones, threatened, threatened & landings(occupied)]).T
        return ((planes[:, :, None, None] >> _SQUARES) & _ONE).astype(np.float32)

    def allowed(self) -> NDArray[np.bool_]:
        """See TwoSeatGame."""
        return ((self._stones[0] | self._stones[1])[:, None] & _TOP) == 0

    def play(self, actions: ActionArray, games: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """See TwoSeatGame."""
        current_players, occupied = self.current_players, self._stones[0] | self._stones[1]
        fallen = landings(occupied) & _COLUMN[actions] * games
        mine = self._stones[current_players, self._each] | fallen
        self._stones[current_players, self._each] = mine
        self._moves += games
        won = has_line(mine) & games
        full = ((occupied | fallen) == _FULL) & games
        return won | full, np.where(won, 1 - 2 * current_players, 0).astype(np.float32)

    def close(self) -> None:
        """Nothing is held."""


def lookahead(observations: Floats, masks: Masks | None, rng: np.random.Generator) -> ActionArray:
    """A player who looks one step ahead: wins if it can, else blocks a win, else takes any column."""
    assert masks is not None
    stones: Bits = (observations[:, :2] > 0).reshape(len(observations), 2, -1).astype(np.uint64) @ _WEIGHTS
    occupied = stones[:, 0] | stones[:, 1]
    choice = masks
    for ends in threats(stones.T, occupied)[::-1] & landings(occupied):  # the win has the last word
        columns = (ends[:, None] & _COLUMN) != 0
        choice = np.where(columns.any(axis=1, keepdims=True), columns, choice)
    return (choice + rng.random(choice.shape)).argmax(axis=1).astype(np.int32)
