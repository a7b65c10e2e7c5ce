"""The file of an export, and a run that moves on or is broken while it is read."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from broodmind.actors.games.starcraft2_spec import SPEC as GAME
from broodmind.common.errors import ConfigError, LineageLost
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import NetworkSpec, RunSpec
from broodmind.common.wire.weights import encode_weights
from broodmind.deploy.records.export import bot_arrays, export, write_npz
from broodmind.learner.ledger.counters import Counters
from broodmind.learner.ledger.head import Head
from broodmind.learner.persistence.run_snapshot import LearnerState, RunSnapshot, encode_learner

SPEC = RunSpec(GAME, NetworkSpec(hidden=(64, 64), activation="relu"))
HEAD = Head(1, 7, "c0ffee")


def snapshot(commit="c0ffee", average=None):
    state = LearnerState({"algorithm": {} if average is None else {"average": average}}, {}, {}, {})
    weights = encode_weights(initial_params(SPEC.network, SPEC.game, np.random.default_rng(1)), SPEC)
    return RunSnapshot(HEAD, Counters(games=4), encode_learner(Head(1, 7, commit), state), weights)


@pytest.fixture
def exported(monkeypatch, tmp_path):
    """Exports a run of which a snapshot, an error or nothing is read."""

    def run(found):
        def read(*_):
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr("broodmind.learner.persistence.run_snapshot.read_snapshot", read)
        monkeypatch.setattr("broodmind.common.server.streams.Server.call", lambda *_: SPEC.to_json())
        return CliRunner().invoke(export, ["--run", "zerg", "--layout", "params", "--to", str(tmp_path / "x.npz")])

    return run


def test_the_file_is_written_and_says_which_version_it_is(exported, tmp_path):
    result = exported(snapshot())
    assert result.exit_code == 0, result.output
    assert "epoch 1, version 7 written" in result.stderr
    with np.load(tmp_path / "x.npz") as arrays:
        assert "policy/w0" in arrays
        assert (arrays["epoch"], arrays["version"]) == (1, 7)


def test_a_run_that_is_broken_ends_it_with_what_is_wrong(exported, tmp_path):
    assert isinstance(exported(LineageLost("weights: missing")).exception, LineageLost)
    assert not (tmp_path / "x.npz").exists()


def test_a_run_without_a_commit_is_none(exported):
    result = exported(None)
    assert isinstance(result.exception, ConfigError)
    assert "run: 'zerg', expected the name of a run" in str(result.exception)


def test_a_file_that_cannot_be_written_is_refused_by_its_name(tmp_path):
    with pytest.raises(
        ConfigError, match=r"^to: '.*nowhere/x.npz', expected a file that can be written \(No such file"
    ):
        write_npz(tmp_path / "nowhere" / "x.npz", {"a": np.ones(2)})


def test_the_bots_baseline_is_the_average_of_returns_where_the_run_has_one():
    for stored, baseline in ((snapshot(), 0.0), (snapshot(average=np.array([2.5])), 2.5)):
        assert bot_arrays(stored, SPEC)["baseline"] == baseline
    with pytest.raises(ConfigError, match=r"run: average.*expected a learner state of this version"):
        bot_arrays(snapshot(average="much"), SPEC)


def test_a_network_that_the_bot_cannot_load_is_refused_with_the_layout_for_any():
    other = SimpleNamespace(game=SPEC.game, network=NetworkSpec(hidden=(8,), activation="tanh"))
    with pytest.raises(ConfigError, match="--layout params takes any network"):
        bot_arrays(snapshot(), other)
