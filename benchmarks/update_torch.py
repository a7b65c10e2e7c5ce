"""The learner's updates in plain PyTorch, on one thread. update.py runs this script.

It needs only PyTorch and NumPy. It reads the batch, the weights and the settings from a folder, prints "ready", and
then answers each request on standard input, a JSON object a line, with one JSON object a line.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Minibatch = tuple[Tensor, ...]  # observations [N, F], actions [N], log-probabilities [N], advantages [N], targets [N]


class ActorCritic(nn.Module):
    """A policy and a value function, each with two hidden layers of its own."""

    def __init__(self, features: int, width: int, actions: int) -> None:
        super().__init__()
        self.policy, self.value = (
            nn.Sequential(
                nn.Linear(features, width),
                nn.Tanh(),
                nn.Linear(width, width),
                nn.Tanh(),
                nn.Linear(width, outputs),
            )
            for outputs in (actions, 1)
        )

    def layers(self) -> dict[str, nn.Linear]:
        """The layers by the names of Broodmind's parameters, with {} in the place of w or b."""
        stacks = {"policy": self.policy, "value": self.value}
        return {f"{name}/{{}}{layer}": stack[2 * layer] for name, stack in stacks.items() for layer in range(3)}

    def log_prob(self, observations: Tensor, actions: Tensor) -> Tensor:
        """The log-probabilities [N] of the actions [N]."""
        log_probs = functional.log_softmax(self.policy(observations), dim=-1)
        return log_probs.gather(1, actions[:, None])[:, 0]


class Learner:
    """One network, its optimizer, and both kinds of update on the batch."""

    def __init__(self, folder: Path, case: str, settings: dict) -> None:
        self.settings = settings
        with np.load(folder / "batch.npz") as arrays:
            self.batch = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        self.batch["actions"] = self.batch["actions"].long()
        with np.load(folder / f"{case}.npz") as weights:
            width = weights["policy/w0"].shape[1]
            self.model = ActorCritic(self.batch["observations"].shape[-1], width, weights["policy/w2"].shape[1])
            with torch.no_grad():
                for name, layer in self.model.layers().items():
                    layer.weight.copy_(torch.from_numpy(weights[name.format("w")]).T)
                    layer.bias.copy_(torch.from_numpy(weights[name.format("b")]))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=settings["learning_rate"], eps=1e-5)

    def rows(self) -> Minibatch:
        """The rows from which the minibatches are taken."""
        return self.rows_of_vtrace() if self.settings["algo"] == "vtrace" else self.rows_of_ppo()

    @torch.no_grad()
    def rows_of_ppo(self) -> Minibatch:
        """The rows for PPO, with normalised generalised advantages."""
        batch, gamma = self.batch, self.settings["gamma"]
        valid, ended = batch["valid"], batch["terminated"] | batch["truncated"]
        values = self.model.value(batch["observations"])[..., 0]
        deltas = (batch["rewards"] + gamma * ~batch["terminated"] * values[1:] - values[:-1]) * valid
        decay = gamma * self.settings["gae_lambda"] * (valid & ~ended)
        advantages, following = torch.empty_like(deltas), torch.zeros_like(deltas[0])
        for t in reversed(range(len(deltas))):
            following = deltas[t] + decay[t] * following
            advantages[t] = following
        targets = (advantages + values[:-1])[valid]
        taken = advantages[valid]
        normalised = (taken - taken.mean()) / (taken.std(unbiased=False) + 1e-8)
        return (
            batch["observations"][:-1][valid],
            batch["actions"][valid],
            batch["log_probs"][valid],
            normalised,
            targets,
        )

    @torch.no_grad()
    def rows_of_vtrace(self) -> Minibatch:
        """The rows for V-trace, with scaled advantages; all truncation levels are 1."""
        batch, gamma = self.batch, self.settings["gamma"]
        valid, ended = batch["valid"], batch["terminated"] | batch["truncated"]
        observations, actions = batch["observations"][:-1][valid], batch["actions"][valid]
        values = self.model.value(batch["observations"])[..., 0]
        ratios = torch.ones_like(batch["rewards"])
        ratios[valid] = torch.exp(self.model.log_prob(observations, actions) - batch["log_probs"][valid]).clamp(max=1)
        discounts = gamma * ~batch["terminated"]
        deltas = ratios * (batch["rewards"] + discounts * values[1:] - values[:-1]) * valid
        decay = self.settings["gae_lambda"] * ratios * discounts * (valid & ~ended)
        excess, following = torch.zeros_like(values), torch.zeros_like(deltas[0])
        for t in reversed(range(len(deltas))):
            following = deltas[t] + decay[t] * following
            excess[t] = following
        after = values[1:] + torch.where(batch["truncated"], 0, excess[1:])
        advantages = (ratios * (batch["rewards"] + discounts * after - values[:-1]))[valid]
        targets = (values[:-1] + excess[:-1])[valid]
        scaled = advantages / (advantages.std(unbiased=False) + 1e-8)
        return observations, actions, batch["log_probs"][valid], scaled, targets

    def losses(self, rows: Minibatch) -> dict[str, Tensor]:
        """Of a minibatch; their sum is the loss."""
        observations, actions, behaviour, advantages, targets = rows
        settings = self.settings
        log_probs = functional.log_softmax(self.model.policy(observations), dim=-1)
        taken = log_probs.gather(1, actions[:, None])[:, 0]
        if settings["algo"] == "vtrace":
            policy = -(advantages * taken).mean()
        else:
            ratios = torch.exp(taken - behaviour)
            clipped = ratios.clamp(1 - settings["clip_range"], 1 + settings["clip_range"])
            policy = -torch.min(ratios * advantages, clipped * advantages).mean()
        value = 0.5 * settings["value_coef"] * functional.mse_loss(self.model.value(observations)[:, 0], targets)
        entropy = -(log_probs.exp() * log_probs).sum(dim=-1).mean()
        return {"policy_loss": policy, "value_loss": value, "entropy_loss": -settings["entropy_coef"] * entropy}

    def gradient(self) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Losses on the whole batch, and their gradient by parameter."""
        self.optimizer.zero_grad()
        losses = self.losses(self.rows())
        sum(losses.values()).backward()
        gradient = {}
        for name, layer in self.model.layers().items():
            gradient[name.format("w")] = layer.weight.grad.T.numpy()
            gradient[name.format("b")] = layer.bias.grad.numpy()
        return {name: value.item() for name, value in losses.items()}, gradient

    def update(self) -> float:
        """All epochs of minibatches; returns the mean loss."""
        settings, rows = self.settings, self.rows()
        count = len(rows[0])
        bounds = np.linspace(0, count, max(1, round(count / settings["minibatch_size"])) + 1).astype(int).tolist()
        total = []
        for _ in range(settings["n_epochs"]):
            order = torch.randperm(count)
            shuffled = tuple(column[order] for column in rows)
            for start, end in itertools.pairwise(bounds):
                loss = sum(self.losses(tuple(column[start:end] for column in shuffled)).values())
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), settings["max_grad_norm"])
                self.optimizer.step()
                total.append(loss.detach())
        mean = torch.stack(total).mean().item()
        if not math.isfinite(mean):
            raise SystemExit("the loss is not finite")
        return mean


def main(folder: Path) -> None:
    """Answer requests until standard input ends."""
    torch.set_num_threads(1)
    cases = json.loads((folder / "cases.json").read_text())
    learners = {case: Learner(folder, case, settings) for case, settings in cases.items()}
    print(json.dumps({"ready": torch.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        learner = learners[request["case"]]
        if request["times"] == 0:
            losses, gradient = learner.gradient()
            np.savez(folder / f"{request['case']}-torch.npz", **gradient)
            print(json.dumps(losses), flush=True)
            continue
        began_s = time.perf_counter()
        for _ in range(request["times"]):
            learner.update()
        print(json.dumps({"seconds": time.perf_counter() - began_s}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
