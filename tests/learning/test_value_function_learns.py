"""The value function learns over a real run: its explained variance rises and its loss falls, by the run's own record.

A policy may get better without any help of its critic, so that no figure of returns would show a broken one.
"""

from __future__ import annotations

from statistics import mean

import pytest
from support.runs import broodmind, last_json
from support.servers import WHOLE_RUN_S

from broodmind.deploy.records.run_folder import RunFolder, read_lines


def figures(folder, *options):
    """Explained variance and value loss, each in the first and in the last tenth of a run's updates."""
    command = ("up", "--game", "CartPole-v1", "--max-steps", "60000", "--eval-episodes", "1", "--seed", "1", "--json")
    process = broodmind(*command, *options, "--out", str(folder))
    printed, shown = process.communicate(timeout=WHOLE_RUN_S)
    assert process.returncode == 0, shown
    assert last_json(printed)["env_steps"] >= 60000
    updates = [line for line in read_lines(RunFolder(folder).metrics) if "value_loss" in line]
    tenth = max(len(updates) // 10, 1)
    return {
        name: (mean(line[name] for line in updates[:tenth]), mean(line[name] for line in updates[-tenth:]))
        for name in ("explained_variance", "value_loss")
    }


@pytest.mark.parametrize("algo", ["ppo", "impact", "vtrace"])
def test_the_value_function_explains_more_at_the_end_of_a_run_than_at_its_beginning(tmp_path, algo):
    found = figures(tmp_path, "--algo", algo)
    (explained, explains), (loss, loses) = found["explained_variance"], found["value_loss"]
    assert explains > explained + 0.2
    assert loses < 0.8 * loss


def test_one_that_is_not_trained_explains_nothing(tmp_path):
    """So the figures are of the value function, and not of something that any run has."""
    explained, explains = figures(tmp_path, "--value-coef", "0")["explained_variance"]
    assert max(explained, explains) < 0.1
