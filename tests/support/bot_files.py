"""Files in the formats of the original bot: made by these functions, or the bot's own files, if there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from support.paths import SHARED

if TYPE_CHECKING:
    from pathlib import Path

REAL = SHARED / "data" / "zerg"
ENTRIES = {"W1": (15, 64), "b1": (64,), "W2": (64, 64), "b2": (64,), "W3": (64, 5), "b3": (5,)}


def game_arrays(decisions: int = 20, *, seed: int = 0, features: int = 15) -> dict[str, np.ndarray]:
    """The arrays of one valid game."""
    rng = np.random.default_rng(seed)
    return {
        "states": rng.uniform(0, 1.6, (decisions, features)).astype(np.float32),
        "actions": rng.integers(0, 5, decisions),
        "rewards": rng.normal(0, 3, decisions),
    }


def write_game(path: Path, decisions: int = 20, *, seed: int = 0, features: int = 15, **changed) -> Path:
    """Write an experience file. `changed` replaces arrays by name; None leaves an array out."""
    arrays = {**game_arrays(decisions, seed=seed, features=features), **changed}
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def write_games(folder: Path, games: int, decisions: int = 20) -> list[Path]:
    """Write `games` experience files with file names in the bot's form."""
    folder.mkdir(exist_ok=True)
    return [
        write_game(folder / f"exp_20260125_1900{number:02}_ep0.npz", decisions + number, seed=number)
        for number in range(games)
    ]


def model_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """A random model of the bot, with weights so large that it chooses different actions in different states."""
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(0, 0.2, shape) for name, shape in ENTRIES.items()}
    return {**weights, "baseline": np.array([1.5]), "episode_count": np.array([321])}


def write_model(path: Path, **changed) -> Path:
    """Write a model file. `changed` as in `write_game`."""
    arrays = {**model_arrays(), **changed}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def probabilities(model, states: np.ndarray) -> np.ndarray:
    """The bot's own forward pass in plain numpy: ReLU, ReLU, softmax. `model` is a result of numpy.load."""
    hidden = np.maximum(states @ model["W1"] + model["b1"], 0)
    hidden = np.maximum(hidden @ model["W2"] + model["b2"], 0)
    logits = hidden @ model["W3"] + model["b3"]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
