"""`broodmind runs`: how far each run of a folder is, and how they differ."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from broodmind.deploy.config.effective import effective
from broodmind.deploy.config.given import of_values
from broodmind.deploy.config.rendering import to_toml
from broodmind.deploy.records.run_folder import RunFolder
from broodmind.deploy.records.runs import runs


@pytest.fixture
def folder(tmp_path):
    for day, (name, rate) in enumerate([("late", 0.2), ("early", 0.1)]):
        path = RunFolder(tmp_path / "runs" / name)
        path.best.mkdir(parents=True)
        path.config.write_text(to_toml(effective(of_values({"learning_rate": rate, "seed": day + 7}, ""))))
        path.about.write_text(json.dumps({"game": "TinyZerg", "starts": [{"at": f"2026-11-{20 - day}T12:00:00Z"}]}))
        path.metrics.write_text(
            '{"steps": 1000, "games": 3}\n{"steps": 12345, "games": 67, "return_mean": 0.98765}\n{"st'
        )
    RunFolder(tmp_path / "runs" / "late").about_best.write_text('{"version": 9, "evaluation": {"mean": 0.75}}')
    return tmp_path / "runs"


def test_the_table_has_the_oldest_first_and_only_the_settings_that_differ(folder):
    head, first, second = CliRunner().invoke(runs, [str(folder)]).stdout.splitlines()
    assert head.split() == ["run", "when", "steps", "games", "return", "best", "seed", "settings"]
    assert first.startswith("early  2026-11-19 ")
    assert first.split()[3:] == ["12,345", "67", "0.9877", "8", "learning_rate=0.1"]
    assert second.split()[3:] == ["12,345", "67", "0.9877", "0.75", "7", "learning_rate=0.2"]


def test_json_has_all_settings(folder):
    found = json.loads(CliRunner().invoke(runs, [str(folder), "--json"]).stdout)
    assert [run["run"] for run in found] == [str(folder / "early"), str(folder / "late")]
    assert found[1].items() >= {"steps": 12345, "return_mean": 0.98765, "best": 0.75, "best_version": 9}.items()
    assert found[1]["settings"]["gamma"] == 0.99


def test_a_folder_that_has_nothing_but_checkpoints_is_a_run(tmp_path):
    (tmp_path / "runs" / "x" / "checkpoints").mkdir(parents=True)
    head, line = CliRunner().invoke(runs, [str(tmp_path / "runs")]).stdout.splitlines()
    assert head.split() == ["run", "when"]
    assert line.startswith("x ")
