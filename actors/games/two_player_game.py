"""What a game of two seats must offer, and who may sit down opposite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np

from ...common.policy.distributions import distribution

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.policy.network import Floats
    from ...common.spec import GameSpec

    PlayerIndices: TypeAlias = NDArray[np.intp]  # [B], 0 or 1
    Masks: TypeAlias = NDArray[np.bool_]
    # (observations [N, ...], masks [N, A] or None, rng) to actions [N, ...]
    PlayerPolicy: TypeAlias = Callable[[Floats, Masks | None, np.random.Generator], ActionArray]


@runtime_checkable
class TwoPlayerGame(Protocol):
    """B copies of a game for two, in which what one seat wins the other loses.

    The seats need not move strictly in turn, but in each game both must have moved before it can end.
    """

    spec: GameSpec
    num_envs: int
    players: Mapping[str, PlayerPolicy]  # scripted ones to be measured against, by name; may be empty

    @property
    def current_players(self) -> PlayerIndices:
        """Whose turn it is in each game, [B]."""

    def reset(self, seed: int) -> None:
        """Start all games anew; whatever chance there is in them comes from the seed."""

    def begin(self, games: NDArray[np.bool_]) -> None:
        """Start these games [B] anew, and no others."""

    def observe(self, seats: PlayerIndices) -> NDArray[np.float32]:
        """Each game as that seat sees it, [B, *observation shape]; one network plays both seats."""

    def allowed(self) -> NDArray[np.bool_] | None:
        """The actions allowed to each game's mover, [B, A]; None where the game has no mask."""

    def play(self, actions: ActionArray, games: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Let the movers of these games [B] act; the others stay as they are.

        Returns:
            Which games this ended [B], and what seat 0 got by it [B]; seat 1 got the negative of that.
        """

    def close(self) -> None:
        """Free what the game holds. May be called twice."""


def random_player(spec: GameSpec) -> PlayerPolicy:
    """One that takes any allowed action with the same probability."""

    def act(observations: Floats, masks: Masks | None, rng: np.random.Generator) -> ActionArray:
        outputs = np.zeros((len(observations), spec.actions.outputs), np.float32)
        return distribution(spec.actions, outputs, np.zeros(spec.actions.shape, np.float32), masks).sample(rng)

    return act
