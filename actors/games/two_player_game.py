"""The interface of a two-player zero-sum game, and the random player."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from ...common import deprecated
from ...common.policy.distributions import distribution

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.policy.network import Floats
    from ...common.spec import GameSpec

    PlayerIndices: TypeAlias = NDArray[np.intp]  # [B], 0 or 1
    Masks: TypeAlias = NDArray[np.bool_]
    # (observations [N, ...], action masks [N, A] or None, generator) to actions [N, ...]
    PlayerPolicy: TypeAlias = Callable[[Floats, Masks | None, np.random.Generator], ActionArray]


@runtime_checkable
class TwoPlayerGame(Protocol):
    """B copies of a two-player zero-sum game.

    The players need not move in turn, but both must have moved before a game can end.
    """

    spec: GameSpec
    num_envs: int
    scripted_players: Mapping[str, PlayerPolicy]  # name to opponent, for training and evaluation; may be empty

    @property
    def current_players(self) -> PlayerIndices:
        """The player who moves next in each game, [B]."""

    def reset(self, seed: int) -> None:
        """Start all games again. All randomness in them is derived from the seed."""

    def reset_games(self, games: NDArray[np.bool_]) -> None:
        """Start the games selected by `games` [B] again, and leave the others unchanged."""

    def observe(self, players: PlayerIndices) -> NDArray[np.float32]:
        """Each game's observation from the view of the given player, [B, *observation shape].

        The same network plays both players, so an observation must show "own" and "opponent's" and not "first" and
        "second player's".
        """

    def action_masks(self) -> NDArray[np.bool_] | None:
        """The legal actions of each game's current player, [B, A]; None if the game has no action mask."""

    def step(self, actions: ActionArray, games: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Let the current player of the games selected by `games` [B] take its action; the others stay unchanged.

        Returns:
            Whether this action ended the game [B], and the reward of player 0 [B]. Player 1 gets its negative.
        """

    def close(self) -> None:
        """Release the game's resources. May be called twice."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class
    """The name that TwoPlayerGame had in 0.1, with a warning."""
    return deprecated.module_attribute(__name__, name)


def random_player(spec: GameSpec) -> PlayerPolicy:
    """A player that draws uniformly from the legal actions."""

    def act(observations: Floats, masks: Masks | None, rng: np.random.Generator) -> ActionArray:
        outputs = np.zeros((len(observations), spec.actions.outputs), np.float32)
        return distribution(spec.actions, outputs, np.zeros(spec.actions.shape, np.float32), masks).sample(rng)

    return act
