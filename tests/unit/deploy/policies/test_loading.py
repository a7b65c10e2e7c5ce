"""Policies out of every kind of file, with nothing but numpy, and the documented forward pass."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from support.bot_files import model_arrays, probabilities, write_model
from support.documents import documented
from support.runs import SPEC

import broodmind
from broodmind import BroodmindError, ConfigError, Discrete, GameSpec
from broodmind.common.policy.network import MEAN, SCALE, shapes
from broodmind.common.spec import NetworkSpec, RunSpec
from broodmind.deploy.records.export import params_arrays, write_npz
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.trainer import WarmStart
from broodmind.learner.config import LearnerConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.persistence.checkpoints import Checkpoints
from broodmind.learner.run.run_state import RunState

OBSERVATIONS = np.random.default_rng(7).normal(size=(40, 3)).astype(np.float32)
NETWORKS = [NetworkSpec((8,)), NetworkSpec((8, 6), "relu", shared=True), NetworkSpec((8,), normalize_observations=True)]


def stored(spec, version=1, config=None):
    """A version of a run, with weights of its own."""
    run = RunState("x", spec, LearnerConfig(algorithm=config or PPOConfig()))
    rng = np.random.default_rng(version)
    params = {name: rng.normal(0, 0.7, shape) for name, shape in shapes(spec.network, spec.game).items()}
    run.trainer.start_from(WarmStart(params))
    snapshot = run.first_version(Head(), 1)[1]
    return replace(snapshot, head=replace(snapshot.head, version=version))


@pytest.fixture
def kept(tmp_path):
    """A run's folder with two checkpoints."""
    folder, snapshots = Checkpoints(tmp_path / "run" / "checkpoints"), [stored(SPEC, version) for version in (4, 9)]
    for each in snapshots:
        folder.save(each, SPEC)
    return tmp_path / "run", snapshots


def same(policy, snapshot, spec=SPEC):
    params = snapshot.params(spec)
    assert params.keys() == policy.params.keys()
    return all(np.array_equal(array, policy.params[name]) for name, array in params.items())


@pytest.mark.parametrize("network", NETWORKS, ids=["own", "shared", "normalised"])
def test_a_checkpoint_and_an_export_hold_the_same_policy(tmp_path, network):
    spec = replace(SPEC, network=network)
    snapshot = stored(spec, 5)
    write_npz(tmp_path / "x.npz", params_arrays(snapshot, spec))
    policies = [broodmind.load(path) for path in (Checkpoints(tmp_path).save(snapshot, spec), str(tmp_path / "x.npz"))]
    for policy in policies:
        assert same(policy, snapshot, spec)
        assert policy.spec == spec
        assert (policy.epoch, policy.version) == (snapshot.head.epoch, snapshot.head.version)
    first, second = policies
    np.testing.assert_array_equal(first.act(OBSERVATIONS), second.act(OBSERVATIONS))
    np.testing.assert_array_equal(first.value(OBSERVATIONS), second.value(OBSERVATIONS))


def test_a_runs_folder_stands_for_its_best_version_and_else_for_its_newest(kept):
    folder, (older, newer) = kept
    assert same(broodmind.load(folder), newer)
    assert same(broodmind.load(folder / "checkpoints"), newer)
    Checkpoints(folder / "best").save(older, SPEC)
    assert same(broodmind.load(folder), older)
    assert same(broodmind.load(folder / "best"), older)
    assert same(broodmind.load(folder, version="last"), newer)
    assert same(broodmind.load(folder, version=newer.head.version), newer)


def test_the_original_bots_model_is_a_policy_without_a_value_function(tmp_path):
    policy = broodmind.load(write_model(tmp_path / "m.npz"))
    states = np.random.default_rng(5).uniform(0, 2, (300, 15)).astype(np.float32)
    np.testing.assert_array_equal(policy.act(states), probabilities(model_arrays(), states).argmax(axis=1))
    with pytest.raises(BroodmindError, match="no trained value function"):
        policy.value(states)


@pytest.mark.parametrize(
    ("name", "contents"),
    [("missing", None), ("text", b"hello"), ("zip.npz", b"PK\x03\x04"), ("x.npz", {"a": np.zeros(3)}), ("empty", {})],
)
def test_what_is_no_policy_is_refused_by_its_path(tmp_path, name, contents):
    path = tmp_path / name
    if isinstance(contents, bytes):
        path.write_bytes(contents)
    elif contents:
        np.savez(path, **contents)
    elif contents is not None:
        path.mkdir()
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        broodmind.load(path)


def test_a_version_is_chosen_from_a_folder_and_not_from_a_file(kept):
    folder, _ = kept
    (path, _) = sorted((folder / "checkpoints").iterdir())
    with pytest.raises(ConfigError, match="version: 'best' with the file"):
        broodmind.load(path, version="best")


LOADS = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"redis", "click", "gymnasium", "matplotlib", *sys.argv[2:]}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import broodmind, numpy
policy = broodmind.load(sys.argv[1])
print(policy.act(numpy.ones(3)), round(policy.value(numpy.ones(3)), 4))
"""


@pytest.mark.parametrize("kind", ["checkpoint", "export"])
def test_it_is_loaded_where_numpy_alone_is_installed(tmp_path, kind):
    """A checkpoint needs msgpack too."""
    snapshot = stored(SPEC, 5)
    path = Checkpoints(tmp_path).save(snapshot, SPEC)
    missing = ["msgpack"] if kind == "export" else []
    if kind == "export":
        write_npz(path := tmp_path / "x.npz", params_arrays(snapshot, SPEC))
    printed = subprocess.check_output([sys.executable, "-c", LOADS, str(path), *missing], text=True)
    policy = broodmind.load(path)
    assert printed == f"{policy.act(np.ones(3))} {round(policy.value(np.ones(3)), 4)}\n"


def test_a_policys_value_is_in_units_of_the_return_where_popart_scaled_it(tmp_path):
    snapshot = stored(SPEC, 5, PPOConfig(popart=0.5))
    state = snapshot.trainer_state()["algorithm"]
    assert "moments" in state
    path = Checkpoints(tmp_path).save(snapshot, SPEC)
    write_npz(tmp_path / "x.npz", params_arrays(snapshot, SPEC))
    np.testing.assert_array_equal(
        broodmind.load(path).params["value/w1"], broodmind.load(tmp_path / "x.npz").params["value/w1"]
    )


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("network", NETWORKS, ids=["own", "shared", "normalised"])
def test_the_documented_forward_pass_computes_the_policys_numbers(tmp_path, network, dtype, monkeypatch):
    spec = RunSpec(GameSpec("toy", (3,), Discrete(4), observation_dtype=dtype), network)
    observations = OBSERVATIONS if dtype == "float32" else (OBSERVATIONS * 50).astype(np.int8).view(np.uint8)
    snapshot = stored(spec, 5)
    arrays = params_arrays(snapshot, spec)
    if network.normalize_observations:
        arrays |= {MEAN: np.array([0.5, -0.2, 0.1], np.float32), SCALE: np.array([2, 1, 0.5], np.float32)}
    write_npz(tmp_path / "policy.npz", arrays)
    monkeypatch.chdir(tmp_path)
    names = {"observations": observations}
    exec(documented("docs/policy.md", "import json\nimport numpy"), names)
    policy = broodmind.load("policy.npz")
    np.testing.assert_array_equal(names["actions"], policy.act(observations))
    np.testing.assert_allclose(names["values"], policy.value(observations), rtol=1e-5, atol=1e-6)
