"""Folders that settings name and that cannot be made or written: told by every command before it starts anything."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import broodmind
from broodmind.common.errors import ConfigError
from broodmind.common.process.made_folder import make_folder
from broodmind.deploy.config.effective import effective
from broodmind.deploy.config.given import of_values
from broodmind.deploy.local.actors import actors
from broodmind.deploy.local.learner import learner
from broodmind.deploy.local.up import run_locally
from broodmind.deploy.policies.evaluator_command import evaluator
from broodmind.deploy.recording.run_start import make_folders

NOBODY = ["--redis", "redis://127.0.0.1:1"]  # asking it would be another error


@pytest.fixture(params=["in a file", "a file", "too long"])
def path(request, tmp_path):
    """A path at which no folder can be made, and why."""
    (tmp_path / "file").write_text("")
    return {
        "in a file": (tmp_path / "file" / "out", "Not a directory"),
        "a file": (tmp_path / "file", "File exists"),
        "too long": (tmp_path / ("x" * 300) / "out", "File name too long"),
    }[request.param]


def check(error, setting, path):
    where, why = path
    assert isinstance(error, ConfigError), repr(error)
    assert str(error) == f"{setting}: {str(where)!r}, expected a folder that can be written ({why})"


def test_a_folder_is_made_with_those_that_it_is_in(tmp_path):
    for _ in range(2):
        make_folder("out", tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_one_that_may_not_be_written_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, _mode: path != tmp_path)  # the tests may run as root, who always may
    with pytest.raises(ConfigError, match=r"out: '.*', expected a folder that can be written \(Permission denied\)"):
        make_folder("out", tmp_path)


@pytest.mark.parametrize("setting", ["out", "checkpoint_dir", "archive", "journal"])
def test_up_tells_before_it_starts_a_server(tmp_path, monkeypatch, path, setting):
    monkeypatch.setattr("broodmind.deploy.local.up.EmbeddedServer", pytest.fail)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ConfigError) as raised:
        run_locally(of_values({"game": "TinyZerg", setting: path[0]}, ""), 0)
    check(raised.value, setting, path)
    assert not list((tmp_path / "here").iterdir())  # nor does it leave anything


def test_a_start_leaves_the_folder_for_checkpoints_in_the_run_s_to_those_who_write_it(tmp_path):
    out = tmp_path / "out"
    config = effective(of_values({"out": out, "checkpoint_dir": out / "checkpoints"}, ""))
    out.mkdir()
    make_folders(config)
    assert not list(out.iterdir())
    (out / "checkpoints").write_text("")
    with pytest.raises(ConfigError, match=r"checkpoint_dir: .*, expected a folder that can be written \(File exists\)"):
        make_folders(config)


def test_train_tells_it_to_the_script(path, monkeypatch):
    monkeypatch.setattr("broodmind.deploy.local.up.EmbeddedServer", pytest.fail)
    with pytest.raises(ConfigError) as raised:
        broodmind.train("TinyZerg", {"max_steps": 100}, out=path[0])
    check(raised.value, "out", path)


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        *((learner, setting) for setting in ("out", "checkpoint_dir", "archive")),
        (actors, "journal"),
        (evaluator, "out"),
    ],
)
def test_each_command_tells_before_it_asks_the_server(command, setting, path):
    option = "--" + setting.replace("_", "-")
    result = CliRunner().invoke(command, [*NOBODY, "--game", "TinyZerg", option, str(path[0])])
    check(result.exception, setting, path)


@pytest.mark.parametrize("setting", ["journal", "records"])
def test_so_does_a_server_for_games(tmp_path, setting):
    (tmp_path / "file").write_text("")
    option = [f"--{setting}", str(tmp_path / "file" / "x")]
    result = CliRunner().invoke(actors, [*NOBODY, "--serve", "127.0.0.1:0", *option])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(f"{setting}: '{tmp_path}/file/x', expected a f")


def test_a_bot_is_told_when_it_connects(path):
    with pytest.raises(ConfigError) as raised:
        broodmind.connect(NOBODY[1], "x", journal=path[0])
    check(raised.value, "journal", path)
