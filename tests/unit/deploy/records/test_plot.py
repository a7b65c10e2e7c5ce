"""`broodmind plot`: a picture of several runs, and what it says where it cannot be drawn."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from broodmind.common.errors import ConfigError
from broodmind.deploy.config.effective import effective
from broodmind.deploy.config.given import of_values
from broodmind.deploy.config.rendering import to_toml
from broodmind.deploy.records.plot import plot
from broodmind.deploy.records.run_folder import RunFolder


def recorded(path, updates=20, **values):
    path.mkdir(parents=True)
    folder = RunFolder(path)
    folder.config.write_text(to_toml(effective(of_values(values, ""))))
    lines = [{"steps": 100 * n, "seconds": n / 2, "return_mean": n + 1.0, "loss": 1 / (n + 1)} for n in range(updates)]
    folder.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def six(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for rate in (0.1, 0.2):
        for seed in (1, 2, 3):
            recorded(tmp_path / "runs" / f"{rate}-{seed}", learning_rate=rate, seed=seed)
    return tmp_path


def run(*arguments):
    result = CliRunner().invoke(plot, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_two_settings_over_three_seeds_are_two_curves_with_bands(six):
    result = run("runs", "--out", "x.svg", "--x", "seconds")
    assert result.stderr == "written to x.svg\n"
    picture = (six / "x.svg").read_text()
    for label in ("learning_rate=0.1 (3 seeds)", "learning_rate=0.2 (3 seeds)", "seconds", "mean return"):
        assert f"<!-- {label} -->" in picture
    assert picture.count("FillBetween") == 2


def test_any_name_in_the_record_is_shown_and_the_picture_has_a_name_of_its_own(six):
    run("runs/0.1-1", "runs/0.2-1", "--y", "loss")
    assert (six / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_a_run_without_a_curve_is_left_out_and_named(six):
    recorded(six / "runs" / "short", updates=1)
    assert "runs/short: no two updates with return_mean, left out" in run("runs").stderr


def test_a_name_that_no_run_has_is_refused_with_those_that_they_have(six):
    with pytest.raises(ConfigError, match=r"y: 'lost' is in none of .*, expected one of steps, seconds"):
        run("runs", "--y", "lost")
    with pytest.raises(ConfigError, match=r"out: 'x\.nosuch', expected a picture that can be written"):
        run("runs", "--out", "x.nosuch")
