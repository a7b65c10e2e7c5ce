"""What a new run starts from: its policy is the file's, and what does not fit is refused by the field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.bot_files import write_model
from support.runs import SPEC

from broodmind.common.actions import Box
from broodmind.common.errors import ConfigError
from broodmind.common.policy.network import LOG_STD, prepare, shapes
from broodmind.common.spec import GameSpec, NetworkSpec, RunSpec
from broodmind.common.wire.bot_model import GAME, NETWORK, read_bot_model
from broodmind.common.wire.weights import decode_weights, digest
from broodmind.deploy.records.export import params_arrays, write_npz
from broodmind.learner.algorithms.batch import Batch
from broodmind.learner.algorithms.batch_predictions import state_values
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.algorithms.trainer import WarmStart
from broodmind.learner.config import LearnerConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.maths.popart import ValueScale
from broodmind.learner.persistence.checkpoints import Checkpoints
from broodmind.learner.persistence.warm_start import read_warm_start
from broodmind.learner.run.run_state import RunState

BOT = RunSpec(GAME, NETWORK)
STATES = np.random.default_rng(2).normal(3, 2, (50, 3)).astype(np.float32)


def trained(spec, config, seed=0):
    """A run with a few updates behind it, as its last commit left it."""
    run, rng = RunState("x", replace(spec, seed=seed), LearnerConfig(algorithm=config)), np.random.default_rng(4)
    shape = (16, 4)
    for _ in range(3):
        actions = rng.integers(0, spec.game.actions.outputs, shape).astype(np.int32)
        batch = Batch(
            observations=rng.normal(3, 2, (17, 4, spec.game.features)).astype(np.float32),
            actions=actions,
            log_probs=np.full(shape, -0.7, np.float32),
            rewards=rng.normal(50, 20, shape).astype(np.float32),
            terminated=np.zeros(shape, np.bool_),
            truncated=np.zeros(shape, np.bool_),
            valid=np.ones(shape, np.bool_),
            masks=None,
            games=1,
        )
        run.trainer.update(batch)
    return run, run.first_version(Head(), 1)[1]


def weights_of(run, spec):
    blob = run.trainer.weights()
    return decode_weights(blob, digest(blob), spec)


def started(path, spec, config=None):
    run = RunState("y", spec, LearnerConfig(algorithm=config or PPOConfig()))
    run.start_from(read_warm_start(path, spec))
    return run


def test_a_run_starts_with_the_bots_policy_and_a_value_network_of_its_own(tmp_path):
    path = write_model(tmp_path / "rl_agent_model.tmp.npz")
    fresh, params = RunState("y", BOT, LearnerConfig()).trainer.weights(), weights_of(started(path, BOT), BOT)
    for name, array in decode_weights(fresh, digest(fresh), BOT).items():
        expected = read_bot_model(path).params[name] if name.startswith("policy") else array
        np.testing.assert_array_equal(params[name], expected)


@pytest.mark.parametrize("kind", ["checkpoint", "export"])
@pytest.mark.parametrize(
    "config", [PPOConfig(popart=0.0), PPOConfig(popart=0.5), ReinforceConfig()], ids=["ppo", "popart", "reinforce"]
)
@pytest.mark.parametrize(
    "network", [NetworkSpec((8,)), NetworkSpec((8, 6), "relu", shared=True)], ids=["own", "shared"]
)
def test_a_run_starts_with_the_policy_and_values_of_another_run(tmp_path, kind, config, network):
    spec = replace(SPEC, network=network)
    old, stored = trained(spec, config)
    if kind == "checkpoint":
        path = Checkpoints(tmp_path).save(stored, spec)
    else:
        path = tmp_path / "x.npz"
        write_npz(path, params_arrays(stored, spec))
    new = started(path, replace(spec, seed=9))
    ours, theirs = weights_of(new, replace(spec, seed=9)), stored.params(replace(spec, seed=0))
    for name in theirs:
        if not name.startswith("value"):
            np.testing.assert_array_equal(ours[name], theirs[name])
    sequence = STATES[:, None]
    values = state_values(theirs, network, sequence)
    scale, state = ValueScale(0.0), old.trainer.state()["algorithm"]
    scale.restore(state)
    values = scale.values(values)
    if config == PPOConfig(popart=0.5):
        assert abs(values.mean()) > 10  # it had learnt something of the large rewards
    np.testing.assert_allclose(state_values(ours, network, sequence), values, rtol=1e-3, atol=1e-3)


def test_a_warm_start_takes_the_checkpoints_normaliser(tmp_path):
    spec = replace(SPEC, network=NetworkSpec((8,), normalize_observations=True))
    _, stored = trained(spec, PPOConfig())
    params = weights_of(started(Checkpoints(tmp_path).save(stored, spec), spec), spec)
    np.testing.assert_array_equal(prepare(params, STATES), prepare(stored.params(spec), STATES))
    assert abs(prepare(params, STATES).mean()) < 0.5 < STATES.mean()
    write_npz(tmp_path / "x.npz", params_arrays(stored, spec))
    with pytest.raises(ConfigError, match=r"normalize_observations: True.*start from a checkpoint"):
        read_warm_start(tmp_path / "x.npz", spec)


def test_a_warm_start_takes_the_standard_deviations_of_continuous_actions(tmp_path):
    spec = RunSpec(GameSpec("box", (3,), Box((-1.0,), (1.0,))), NetworkSpec((8,)))
    run = RunState("x", spec, LearnerConfig())
    run.trainer.start_from(WarmStart({LOG_STD: np.full(1, -0.5, np.float32)}))
    path = Checkpoints(tmp_path).save(run.first_version(Head(), 1)[1], spec)
    assert weights_of(started(path, spec), spec)[LOG_STD] == -0.5


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (replace(BOT, network=replace(NETWORK, activation="tanh")), "activation: tanh, expected relu"),
        (replace(BOT, network=replace(NETWORK, hidden=(32,))), r"hidden: \(32,\), expected \(64, 64\)"),
        (replace(BOT, network=replace(NETWORK, shared=True)), "shared: True"),
        (replace(BOT, network=replace(NETWORK, normalize_observations=True)), "normalize_observations: True"),
        (replace(BOT, game=SPEC.game), r"observation_shape: \(3,\)"),
        (replace(BOT, game=replace(GAME, masked=True)), "masked: True"),
    ],
)
def test_a_file_of_another_network_is_refused_by_the_field(tmp_path, spec, field):
    path = write_model(tmp_path / "m.npz")
    read_warm_start(path, BOT)
    with pytest.raises(ConfigError, match=f"^{field}.* as in {path}"):
        read_warm_start(path, spec)


def test_a_file_that_is_neither_model_nor_checkpoint_is_refused_by_name(tmp_path):
    _, stored = trained(SPEC, PPOConfig())
    export = params_arrays(stored, SPEC)
    broken = {
        "none.npz": {"a": np.zeros(3)},
        "part.npz": {name: array for name, array in export.items() if name != "policy/b0"},
        "shape.npz": {**export, "policy/b0": np.zeros(9, np.float32)},
        "nan.npz": {**export, "value/b0": np.full(8, np.nan, np.float32)},
        "spec.npz": {**export, "spec": np.frombuffer(b"{}", np.uint8)},
    }
    for name, arrays in broken.items():
        write_npz(tmp_path / name, arrays)
        with pytest.raises(ConfigError):
            read_warm_start(tmp_path / name, SPEC)
    (tmp_path / "text").write_text("hello")
    for name in ("text", "missing"):
        with pytest.raises(ConfigError, match=name):
            read_warm_start(tmp_path / name, SPEC)
    assert shapes(SPEC.network, SPEC.game).keys() < export.keys()
