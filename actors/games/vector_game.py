"""The interface of a vectorised game: many copies of one game, stepped together with arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from ...common.spec import GameSpec


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one step of B games.

    Reset follows Gymnasium's ``AutoresetMode.NEXT_STEP``: where a game has just ended, `observations` has its final
    observation. The next call ignores that column's action and gives reward 0 and the first observation of the next
    game. The final observation, which a truncated game needs for bootstrapping, is therefore part of the sequence.
    """

    # [B, *observation shape], after the step; of the dtype that the game's spec names.
    observations: NDArray[np.float32] | NDArray[np.uint8]
    rewards: NDArray[np.float32]  # [B]
    terminated: NDArray[np.bool_]  # [B] the game ended by its own rules
    truncated: NDArray[np.bool_]  # [B] the game was cut off from outside (a step limit); its value is bootstrapped
    masks: NDArray[np.bool_] | None = None  # [B, A] the legal next actions; None if the game has no action mask
    wins: NDArray[np.bool_] | None = None  # [B] read only where the game has just ended; None if it reports no wins
    # In the layout of Gymnasium's vector environments: by name an array [B], and by _name which of its items count. The
    # numbers that `--metric` names are read where a game has just ended.
    infos: Mapping[str, Any] | None = None


class VectorGame(Protocol):
    """B copies of one game. All their randomness is derived from the seed given to `reset`."""

    num_envs: int

    @property
    def spec(self) -> GameSpec:
        """The game's arrays; the same at all times."""

    def reset(self, seed: int) -> Step:
        """Start all copies again. The returned step has rewards 0, and no game has ended."""

    def step(self, actions: NDArray[np.generic]) -> Step:
        """Advance every copy by one action. `actions` is [B] for a Discrete action space, [B, D] otherwise."""

    def close(self) -> None:
        """Release the game's resources (windows, processes). May be called twice."""
