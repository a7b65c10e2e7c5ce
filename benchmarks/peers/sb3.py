"""Trains stable-baselines3's PPO on CartPole-v1, and prints a line of JSON for each training game that ends.

    python -P benchmarks/peers/sb3.py SEED

Settings: those that are tuned for this game in `hyperparams/ppo.yml` of rl-baselines3-zoo. They are for 100,000 steps,
over which learning rate and clip range decrease to 0.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 100_000


class Report(BaseCallback):
    """Prints each game that ends."""

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if game := info.get("episode"):
                print(json.dumps({"steps": self.num_timesteps, "return": game["r"]}), flush=True)
        return True


def falling(from_value: float) -> Callable[[float], float]:
    """A linear schedule to 0: a function of the fraction of the steps that remains."""
    return lambda remaining: from_value * remaining


def main() -> None:
    seed = int(sys.argv[1])
    ppo = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=8, seed=seed),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=falling(1e-3),
        clip_range=falling(0.2),
        device="cpu",
        seed=seed,
    )
    ppo.learn(STEPS, callback=Report())


if __name__ == "__main__":
    main()
