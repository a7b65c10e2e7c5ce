"""Trains Sample Factory's APPO on CartPole-v1, and prints a line of JSON for each training game that ends.

    python -P benchmarks/peers/sample_factory.py SEED [--OPTION=VALUE ...]

Settings: the command line for this game at the head of Sample Factory's `sf_examples/train_gym_env.py`, on the CPU,
with the default of one worker for each core. The program is that example, with a handler that prints the games. Its
files are written to the working directory.
"""

from __future__ import annotations

import json
import sys

from sample_factory.algo.utils.misc import EPISODIC
from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
from sample_factory.train import make_runner
from sf_examples.train_gym_env import register_custom_components

OPTIONS = (
    *("--env=CartPole-v1", "--algo=APPO", "--use_rnn=False", "--recurrence=1", "--with_vtrace=False"),
    *("--num_envs_per_worker=20", "--policy_workers_per_policy=2", "--batch_size=512", "--reward_scale=0.1"),
    *("--save_every_sec=10", "--experiment_summaries_interval=10", "--experiment=cartpole", "--device=cpu"),
)


def main() -> None:
    def report(runner, message, policy: int) -> None:  # noqa: ANN001 - its types are Sample Factory's
        game = {"steps": runner.env_steps.get(policy, 0), "return": float(message[EPISODIC]["reward"])}
        print(json.dumps(game), flush=True)

    register_custom_components()
    options = [*OPTIONS, *sys.argv[2:], f"--seed={sys.argv[1]}"]
    parser, _ = parse_sf_args(options)
    _, runner = make_runner(parse_full_cfg(parser, options))
    runner.register_episodic_stats_handler(report)
    runner.init()
    runner.run()


if __name__ == "__main__":
    main()
