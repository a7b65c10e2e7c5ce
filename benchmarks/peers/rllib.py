"""Trains PPO, APPO or IMPALA of Ray's RLlib on CartPole-v1, and prints a line of JSON for each training game.

    python -P benchmarks/peers/rllib.py SEED [ppo|appo|impala]

Settings: those of RLlib's own examples for this game, `rllib/examples/algorithms/ppo/cartpole_ppo.py`,
`appo/cartpole_appo.py` and `impala/cartpole_impala.py` (`rllib/tuned_examples` before). They ask for four or five env
runners and a learner, each with a core of its own. Here there are two runners, for two cores, and the learner is in the
main process. RLlib reports the games of an iteration when it ends: with PPO after 4,000 steps, with the others after a
second (set here) instead of ten.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import ray
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.algorithms.impala import IMPALAConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module.mean_std_filter import MeanStdFilter
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

RUNNERS = 2


def report_end(*, episode, prev_episode_chunks, metrics_logger, **_) -> None:  # noqa: ANN001, ANN003 - RLlib's types
    """Called in an env runner: log the return of a game, including its parts in earlier samples."""
    total = sum(part.get_return() for part in (*prev_episode_chunks, episode))
    metrics_logger.log_value("games", total, reduce="item_series")


def ppo() -> PPOConfig:
    model = DefaultModelConfig(fcnet_hiddens=[32], fcnet_activation="linear", vf_share_layers=True)
    return PPOConfig().training(lr=0.0003, num_epochs=6, vf_loss_coeff=0.01).rl_module(model_config=model)


def appo() -> APPOConfig:
    settings = {"circular_buffer_iterations_per_batch": 2, "vf_loss_coeff": 0.05, "entropy_coeff": 0.0}
    model = DefaultModelConfig(vf_share_layers=True)
    return APPOConfig().training(**settings).rl_module(model_config=model).reporting(min_time_s_per_iteration=1)


def impala() -> IMPALAConfig:
    settings = {"train_batch_size_per_learner": 500, "lr": 0.0005, "vf_loss_coeff": 0.05, "entropy_coeff": 0.0}
    return (
        IMPALAConfig()
        .env_runners(env_to_module_connector=lambda *_: MeanStdFilter())
        .training(**settings, grad_clip=40.0, grad_clip_by="global_norm")
        .rl_module(model_config=DefaultModelConfig(vf_share_layers=True))
        .reporting(min_time_s_per_iteration=1)
    )


def main() -> None:
    config = {"ppo": ppo, "appo": appo, "impala": impala}[sys.argv[2] if len(sys.argv) > 2 else "ppo"]()
    config.environment("CartPole-v1").debugging(seed=int(sys.argv[1])).callbacks(on_episode_end=report_end)
    config.env_runners(num_env_runners=RUNNERS, num_envs_per_env_runner=16).learners(num_learners=0)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it would report to its makers
    ray.init(num_cpus=RUNNERS, include_dashboard=False, _temp_dir=str(Path.cwd()))
    algorithm = config.build_algo()
    while True:
        result = algorithm.train()
        steps = int(result["num_env_steps_sampled_lifetime"])
        games = result.get("env_runners", {}).get("games")
        for game in games if isinstance(games, list) else []:  # NaN where none ended
            print(json.dumps({"steps": steps, "return": float(game)}), flush=True)


if __name__ == "__main__":
    main()
