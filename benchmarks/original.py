"""Training on one game: the original bot's Python loop over the steps, compared with Broodmind's trainer.

    OPENBLAS_NUM_THREADS=1 python benchmarks/original.py               # one thread, as the learner sets it
    OPENBLAS_NUM_THREADS=1 python benchmarks/original.py --steps 76    # as long as most of the bot's recorded games

The original bot's training was written again from its description: a network 15-64-64-5 with ReLU in double precision;
a forward and a backward pass for each state vector of each game, whose gradients are summed over all games; then one
step with the learning rate divided by the number of games. Advantages are the discounted returns minus their mean over
the game, with the correct sign. Broodmind's side is `collate` and `Trainer.update` of REINFORCE on the same games, as
in a learner, including the value network of the same size.

First both compute the gradient of one game; the difference must be at most 1e-4 of its norm. Then they train on ten
games in turn. Prints the ratio of their speeds.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import click
import numpy as np
from random_games import random_game
from results import Result

from broodmind.common.process.process_setup import prepare_to_compute
from broodmind.common.spec import RolloutSpec, RunSpec
from broodmind.common.wire.bot_model import GAME, NETWORK, BotModel
from broodmind.common.wire.weights import decode_weights, digest
from broodmind.learner.algorithms.batch import collate
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.algorithms.trainer import Trainer

if TYPE_CHECKING:
    from broodmind.common.wire.trajectory import Trajectory

GAMMA = 0.99
CONFIG = ReinforceConfig(learning_rate=1e-5, gamma=GAMMA, baseline="batch_mean", entropy_coef=0.0, max_grad_norm=1e30)
TOGETHER = 10  # games in a batch, as in the bot


@dataclass(slots=True)
class Original:
    """The original bot's network: the weights and gradients of its layers."""

    weights: list[np.ndarray]  # [15, 64], [64, 64], [64, 5]
    biases: list[np.ndarray]  # [64], [64], [5]
    weight_grads: list[np.ndarray] = field(init=False)
    bias_grads: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        """Set the gradients to 0."""
        self.weight_grads = [np.zeros_like(each) for each in self.weights]
        self.bias_grads = [np.zeros_like(each) for each in self.biases]

    def forward(self, state: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """The probabilities [5] of one state [15], and each layer's inputs."""
        inputs = [state]
        for weights, biases in zip(self.weights[:-1], self.biases[:-1], strict=True):
            inputs.append(np.maximum(0, np.dot(inputs[-1], weights) + biases))
        logits = np.dot(inputs[-1], self.weights[-1]) + self.biases[-1]
        odds = np.exp(logits - np.max(logits))
        return odds / np.sum(odds), inputs

    def backward(self, probs: np.ndarray, inputs: list[np.ndarray], action: int, advantage: float) -> None:
        """Add the gradient of -advantage x log pi(action) of one step."""
        above = probs.copy()
        above[action] -= 1
        above *= advantage
        for layer in (2, 1, 0):
            self.weight_grads[layer] += np.outer(inputs[layer], above)
            self.bias_grads[layer] += above
            if layer:
                above = np.dot(above, self.weights[layer].T) * (inputs[layer] > 0)

    def add_game(self, game: Trajectory, *, baseline: bool = True) -> float:
        """Add the gradient of a whole game, with its mean return as the baseline or with none; returns its loss."""
        rewards = game.rewards[:, 0]
        returns, following = np.zeros(len(rewards)), 0.0
        for t in reversed(range(len(rewards))):
            following = rewards[t] + GAMMA * following
            returns[t] = following
        advantages = returns - returns.mean() if baseline else returns
        loss = 0.0
        for t in range(len(rewards)):
            action = game.actions[t, 0]
            probs, inputs = self.forward(game.observations[t, 0])
            self.backward(probs, inputs, action, advantages[t])
            loss += -np.log(probs[action] + 1e-9) * advantages[t]
        return loss

    def train(self, games: list[Trajectory]) -> float:
        """One batch; returns the mean loss of a step."""
        loss = sum(self.add_game(game) for game in games)
        rate = CONFIG.learning_rate / len(games)
        for values, grads in ((self.weights, self.weight_grads), (self.biases, self.bias_grads)):
            for value, grad in zip(values, grads, strict=True):
                np.subtract(value, rate * grad, out=value)
                grad.fill(0)
        return loss / sum(len(game.actions) for game in games)


class Ours:
    """Broodmind's trainer, with its policy in the bot's format."""

    def __init__(self, steps: int, config: ReinforceConfig = CONFIG) -> None:
        self._spec = RunSpec(GAME, NETWORK, RolloutSpec(unroll="games", fragment_length=steps))
        self._trainer = Trainer(self._spec, config)

    def train(self, games: list[Trajectory]) -> None:
        """One batch."""
        self._trainer.update(collate(games))

    def arrays(self) -> dict[str, np.ndarray]:
        """W1 b1 W2 b2 W3 b3 in the bot's format."""
        blob = self._trainer.weights()
        return BotModel(decode_weights(blob, digest(blob), self._spec)).arrays()


def original(arrays: dict[str, np.ndarray]) -> Original:
    """The same policy as the original bot's network."""
    return Original([arrays[f"W{layer}"] for layer in (1, 2, 3)], [arrays[f"b{layer}"] for layer in (1, 2, 3)])


def gradients_apart(steps: int) -> float:
    """The distance of both gradients of one game, relative to the gradient's norm."""
    rate = 100.0  # of one SGD step, so large that the weights' rounding errors do not matter
    config = replace(
        CONFIG, baseline="none", optimizer="sgd", learning_rate=rate
    )  # a game's own mean is no baseline here
    ours, played = Ours(steps, config), random_game(steps, 0, wins=True)
    before = ours.arrays()
    theirs = original(before)
    theirs.add_game(played, baseline=False)
    ours.train([played])
    after = ours.arrays()
    grads = {"W": theirs.weight_grads, "b": theirs.bias_grads}
    names = [(part, layer) for part in "Wb" for layer in range(3)]
    expected = np.concatenate([grads[part][layer].ravel() for part, layer in names])
    found = np.concatenate(
        [(before[f"{part}{layer + 1}"] - after[f"{part}{layer + 1}"]).ravel() for part, layer in names]
    )
    return float(np.linalg.norm(found / rate - expected) / np.linalg.norm(expected))


def milliseconds_a_game(trains: Original | Ours, games: list[Trajectory], times: int) -> float:
    """Milliseconds for each game, over `times` batches."""
    began_s = time.perf_counter()
    for _ in range(times):
        trains.train(games)
    return 1000 * (time.perf_counter() - began_s) / times / len(games)


@click.command()
@click.option("--steps", default=500, show_default=True, help="Of each game.")
@click.option("--rounds", default=9, show_default=True, help="In which both take turns.")
def main(steps: int, rounds: int) -> None:
    """Measure and print the result."""
    prepare_to_compute()  # as in the learner, for both
    apart = gradients_apart(steps)
    if apart > 1e-4:
        raise click.ClickException(f"gradients {apart} apart, expected the same")
    games = [random_game(steps, number, wins=True) for number in range(TOGETHER)]
    ours = Ours(steps)
    theirs = original(ours.arrays())
    turns = [(milliseconds_a_game(ours, games, 10), milliseconds_a_game(theirs, games, 1)) for _ in range(rounds + 1)]
    own_ms, other_ms = (statistics.median(each) for each in zip(*turns[1:], strict=True))
    detail = {"steps": steps, "ours_ms_a_game": own_ms, "original_ms_a_game": other_ms, "gradients_apart": apart}
    ratios = [other / own for own, other in turns[1:]]  # the first turn warms up
    Result("training on a game, to the original way", ratios, "x", 100, detail=detail).emit()


if __name__ == "__main__":
    main()
