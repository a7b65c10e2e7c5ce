"""`broodmind evaluator`: chooses the best version of a run while it is trained; `up` starts one by itself."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ...common.errors import ConfigError
from ...common.process.made_folder import make_folder
from ...common.process.process_setup import prepare_to_compute
from ...common.process.shutdown import stop_on_signal, stop_with_parent
from ..config.effective import effective, server_url
from ..config.options import SettingsCommand, with_settings

if TYPE_CHECKING:
    from ..config.given import Given

_NICE = 10  # beside the learner and the actors, which the processor is for


@click.command(cls=SettingsCommand)
@with_settings("run", "game", "game_args", "connection", "evaluation", "envs", "out", inherits=True)
def evaluator(given: Given, *, inherit: str | None) -> None:
    """Evaluate versions of a run while it is trained, until Ctrl-C.

    Writes evaluations.jsonl, and the best version's checkpoint in best/, to the folder --out. It needs the rights of
    the user RUN~evaluator of `broodmind acl`, and a game of its own: it plays with the most probable actions.
    """
    prepare_to_compute()
    from ..records.run_folder import RunFolder
    from .cpu_budget import CpuBudget, cpu_of_local_run, cpu_of_one_core
    from .evaluator import evaluate_while_training, task_of

    config = effective(given)
    out = given.get("out")
    if out is None:
        raise ConfigError("out: none, expected a folder for evaluations.jsonl and the best version")
    make_folder("out", out)
    task = task_of(config)
    with stop_on_signal() as stop:
        if inherit is not None:
            stop_with_parent(stop)
            with suppress(OSError, AttributeError):
                os.nice(_NICE)
        measure = cpu_of_local_run(os.getppid()) if inherit is not None else cpu_of_one_core()
        evaluate_while_training(
            server_url(given), config.run, task, RunFolder(out), CpuBudget(config.evaluation.eval_cpu, measure), stop
        )
