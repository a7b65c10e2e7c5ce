"""What a game must offer an actor: many copies of itself, stepped together as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...common.spec import GameSpec


@dataclass(frozen=True, slots=True)
class Step:
    """One step of B games at once.

    Reset follows Gymnasium's ``AutoresetMode.NEXT_STEP``: where a game has just ended, `observations` holds its
    final observation; the next call ignores that column's action, gives reward 0 and the first observation of the
    next game. Both observations a bootstrap could need are therefore in the sequence itself.
    """

    observations: NDArray[np.float32]  # [B, *observation shape], after the step
    rewards: NDArray[np.float32]  # [B]
    terminated: NDArray[np.bool_]  # [B] the game is over by its own rules
    truncated: NDArray[np.bool_]  # [B] cut off from outside (a step limit): its future still has a value
    masks: NDArray[np.bool_] | None = None  # [B, A] the actions allowed next; None where the game has no mask
    wins: NDArray[np.bool_] | None = None  # [B] read only where the game has just ended; None if it knows no wins


class VectorGame(Protocol):
    """B copies of one game. A copy's randomness comes from the seed given to `reset` alone."""

    spec: GameSpec
    num_envs: int

    def reset(self, seed: int) -> Step:
        """Start all copies anew; the step's rewards are 0 and nothing has ended."""

    def step(self, actions: NDArray[np.generic]) -> Step:
        """Advance every copy by one decision. `actions` is [B] for discrete actions, [B, D] otherwise."""

    def close(self) -> None:
        """Free what the game holds (windows, processes). May be called twice."""
