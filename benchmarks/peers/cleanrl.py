"""Trains a CleanRL-style PPO on CartPole-v1, and prints a line of JSON for each training game that ends.

    python -P benchmarks/peers/cleanrl.py SEED

This is not CleanRL's code: its newest release does not support Python above 3.10, and its repository is not a package.
It is a plain PPO in PyTorch of our own that does the same work with the same settings, the defaults of `cleanrl/ppo.py`
(https://docs.cleanrl.dev/rl-algorithms/ppo): 4 games side by side in a SyncVectorEnv, 128 steps, 4 epochs of 4
minibatches, two torsos of 64 and 64 with orthogonal weights, Adam with a rate that falls to nothing over 500,000 steps,
clipped values, advantages normalised in each minibatch; a game that its limit cut short counts as one that ended.
"""

from __future__ import annotations

import json
import sys

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

STEPS, GAMES, UNROLL, EPOCHS, MINIBATCHES = 500_000, 4, 128, 4, 4
RATE, DISCOUNT, TRACE, CLIP, ENTROPY, VALUE, MAX_NORM = 2.5e-4, 0.99, 0.95, 0.2, 0.01, 0.5, 0.5


def torso(observed: int, outputs: int, gain: float) -> nn.Sequential:
    """A network with two hidden layers; `gain` is the gain of the last layer."""
    widths, gains = (observed, 64, 64, outputs), (2**0.5, 2**0.5, gain)
    layers: list[nn.Module] = []
    for inputs, width, scale in zip(widths, widths[1:], gains, strict=False):
        linear = nn.Linear(inputs, width)
        nn.init.orthogonal_(linear.weight, scale)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class Play:
    """The environments, in which a policy plays one unroll after the other."""

    def __init__(self, policy: nn.Module, critic: nn.Module, seed: int) -> None:
        self._policy, self._critic = policy, critic
        made = [lambda: gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1"))] * GAMES
        self._games = gym.vector.SyncVectorEnv(made, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
        self._observation = torch.tensor(self._games.reset(seed=seed)[0])
        self._first = torch.zeros(GAMES)
        self.steps = 0

    @torch.no_grad()
    def unroll(self) -> list[Tensor]:
        """Observations [T * B, 4], actions, their log-probabilities, advantages, values, all [T * B]."""
        observations, actions, log_probs, values, firsts, rewards = [], [], [], [], [], []
        for _ in range(UNROLL):
            observations.append(self._observation)
            firsts.append(self._first)
            choices = Categorical(logits=self._policy(self._observation))
            actions.append(choices.sample())
            log_probs.append(choices.log_prob(actions[-1]))
            values.append(self._critic(self._observation).squeeze(-1))
            observation, reward, terminated, truncated, info = self._games.step(actions[-1].numpy())
            self._observation = torch.tensor(observation)
            self._first = torch.tensor(terminated | truncated, dtype=torch.float32)
            rewards.append(torch.tensor(reward, dtype=torch.float32))
            self.steps += GAMES
            self._report(info)
        values.append(self._critic(self._observation).squeeze(-1))
        firsts.append(self._first)
        advantages, advantage = [], torch.zeros(GAMES)
        for t in reversed(range(UNROLL)):
            goes_on = 1 - firsts[t + 1]
            error = rewards[t] + DISCOUNT * values[t + 1] * goes_on - values[t]
            advantage = error + DISCOUNT * TRACE * goes_on * advantage
            advantages.append(advantage)
        columns = (observations, actions, log_probs, advantages[::-1], values[:-1])
        return [torch.stack(column).flatten(0, 1) for column in columns]

    def _report(self, info: dict) -> None:
        for ended in np.flatnonzero(info.get("_final_info", False)):
            game = {"steps": self.steps, "return": float(info["final_info"]["episode"]["r"][ended])}
            print(json.dumps(game), flush=True)


def loss(policy: nn.Module, critic: nn.Module, batch: list[Tensor]) -> Tensor:
    """PPO's loss of one minibatch of the rows that `unroll` returns."""
    observations, actions, old_log_probs, advantages, old_values = batch
    returns = advantages + old_values
    choices = Categorical(logits=policy(observations))
    ratios = (choices.log_prob(actions) - old_log_probs).exp()
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    gain = torch.minimum(ratios * advantages, ratios.clamp(1 - CLIP, 1 + CLIP) * advantages).mean()
    values = critic(observations).squeeze(-1)
    clipped = old_values + (values - old_values).clamp(-CLIP, CLIP)
    value_loss = 0.5 * torch.maximum((values - returns) ** 2, (clipped - returns) ** 2).mean()
    return VALUE * value_loss - gain - ENTROPY * choices.entropy().mean()


def main() -> None:
    seed = int(sys.argv[1])
    torch.manual_seed(seed)
    policy, critic = torso(4, 2, 0.01), torso(4, 1, 1.0)
    parameters = [*policy.parameters(), *critic.parameters()]
    adam = torch.optim.Adam(parameters, eps=1e-5)
    play = Play(policy, critic, seed)
    while play.steps + GAMES * UNROLL <= STEPS:
        adam.param_groups[0]["lr"] = RATE * (1 - play.steps / STEPS)
        data = play.unroll()
        for _ in range(EPOCHS):
            for chosen in torch.randperm(GAMES * UNROLL).chunk(MINIBATCHES):
                adam.zero_grad()
                loss(policy, critic, [column[chosen] for column in data]).backward()
                nn.utils.clip_grad_norm_(parameters, MAX_NORM)
                adam.step()


if __name__ == "__main__":
    main()
