"""Connect four: drop stones into columns; who has four in a line first has won. B games at once.

The stones of a seat are the bits of an integer, seven a column from left to right, the lowest row first. The seventh is
always empty: no line can run from one column's top into the next one's foot, and a carry ends there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..common.actions import Discrete
from ..common.spec import GameSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..common.distributions import ActionArray
    from ..common.network import Floats
    from .two_seats import Masks, Player, Seats

    Bits: TypeAlias = NDArray[np.uint64]

ROWS, COLUMNS = 6, 7
_ONE = np.uint64(1)
_FOOT = _ONE << (7 * np.arange(COLUMNS, dtype=np.uint64))  # the lowest square of each column
_COLUMN = _FOOT * np.uint64(2**ROWS - 1)
_TOP = _FOOT << np.uint64(ROWS - 1)
_FULL = _COLUMN.sum()
_SHIFTS = np.array([1, 6, 7, 8], np.uint64)[:, None]  # up, and to the right: down, level, up
# The bit of each square, [rows, columns] from the lowest row.
_SQUARES = np.arange(ROWS, dtype=np.uint64)[:, None] + 7 * np.arange(COLUMNS, dtype=np.uint64)
_WEIGHTS = (_ONE << _SQUARES).ravel()


def has_line(stones: Bits) -> NDArray[np.bool_]:
    """Whether there are four in a line, for stones [N]."""
    pairs = stones & (stones >> _SHIFTS)
    return (pairs & (pairs >> (_SHIFTS + _SHIFTS))).any(axis=0)


def drop(occupied: Bits, columns: ActionArray) -> Bits:
    """The square, as a bit, that a stone falls to in each column; 0 where it is full. `occupied` is both seats'."""
    return (occupied + _FOOT[columns]) & _COLUMN[columns]  # the carry runs through the stones to the first gap


def landings(occupied: Bits) -> Bits:
    """All squares that a stone can fall to."""
    return (occupied + _FOOT.sum()) & _FULL


class ConnectFour:
    """`num_envs` games.

    An observation is three planes of six rows, the lowest first: own stones, the other's, and the squares to which
    the next one can fall.
    """

    spec = GameSpec("ConnectFour", (3, ROWS, COLUMNS), Discrete(COLUMNS), masked=True)

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.players: Mapping[str, Player] = {"lookahead": lookahead}
        self._stones = np.zeros((2, num_envs), np.uint64)
        self._moves = np.zeros(num_envs, np.intp)
        self._each = np.arange(num_envs)

    @property
    def movers(self) -> Seats:
        """See TwoSeatGame."""
        return self._moves & 1

    def reset(self, seed: int) -> None:  # noqa: ARG002 - there is no chance in it
        """See TwoSeatGame."""
        self.begin(np.ones(self.num_envs, np.bool_))

    def begin(self, games: NDArray[np.bool_]) -> None:
        """See TwoSeatGame."""
        self._stones[:, games] = 0
        self._moves[games] = 0

    def observe(self, seats: Seats) -> NDArray[np.float32]:
        """See TwoSeatGame."""
        mine, theirs = self._stones[seats, self._each], self._stones[1 - seats, self._each]
        planes = np.stack([mine, theirs, landings(mine | theirs)], axis=1)
        return ((planes[:, :, None, None] >> _SQUARES) & _ONE).astype(np.float32)

    def allowed(self) -> NDArray[np.bool_]:
        """See TwoSeatGame."""
        return ((self._stones[0] | self._stones[1])[:, None] & _TOP) == 0

    def play(self, actions: ActionArray, games: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """See TwoSeatGame."""
        movers, occupied = self.movers, self._stones[0] | self._stones[1]
        fallen = drop(occupied, actions) * games
        mine = self._stones[movers, self._each] | fallen
        self._stones[movers, self._each] = mine
        self._moves += games
        won = has_line(mine) & games
        full = ((occupied | fallen) == _FULL) & games
        return won | full, np.where(won, 1 - 2 * movers, 0).astype(np.float32)

    def close(self) -> None:
        """Nothing is held."""


def lookahead(observations: Floats, masks: Masks | None, rng: np.random.Generator) -> ActionArray:
    """A player who looks one step ahead: wins if it can, else blocks a win, else takes any column."""
    assert masks is not None
    planes: Bits = (observations[:, :2] > 0).reshape(len(observations), 2, -1).astype(np.uint64) @ _WEIGHTS
    mine, theirs = planes[:, :1], planes[:, 1:]
    fallen = drop(mine | theirs, np.arange(COLUMNS))  # [N, columns]
    choice = masks.copy()
    for stones in (theirs, mine):  # the win has the last word
        ends = has_line((stones | fallen).ravel()).reshape(masks.shape) & masks
        choice = np.where(ends.any(axis=1, keepdims=True), ends, choice)
    return (choice + rng.random(choice.shape)).argmax(axis=1).astype(np.int32)
