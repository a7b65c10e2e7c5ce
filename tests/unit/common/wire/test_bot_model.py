"""The original bot's model file: read, written, and the same policy on both sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.bot_files import ENTRIES, REAL, model_arrays, probabilities, write_model

from broodmind.common.actions import Discrete
from broodmind.common.errors import ConfigError
from broodmind.common.policy.categorical import log_softmax
from broodmind.common.policy.network import initial_params
from broodmind.common.wire.bot_model import GAME, NETWORK, BotModel, check_exportable, read_bot_model

STATES = np.random.default_rng(5).uniform(0, 2, (500, 15)).astype(np.float32)


@pytest.mark.parametrize("name", ["rl_agent_model.npz", "rl_agent_model.tmp.npz"])
def test_our_forward_pass_of_the_bots_model_equals_the_bots_own(tmp_path, name):
    model = read_bot_model(write_model(tmp_path / name))
    assert (model.baseline, model.episode_count) == (1.5, 321)
    ours = np.exp(log_softmax(model.logits(STATES)))
    np.testing.assert_allclose(ours, probabilities(model_arrays(), STATES), atol=1e-6)
    assert np.ptp(ours) > 0.3  # the model tells states apart


def test_the_bots_forward_pass_of_our_model_equals_our_own(tmp_path):
    params = initial_params(NETWORK, GAME, np.random.default_rng(1))
    params["policy/w2"] *= 100  # an untrained policy is about uniform, whatever it computes
    params["policy/b0"] += 0.3
    model = BotModel(params, baseline=-2.5, episode_count=7)
    np.savez(tmp_path / "x.npz", **model.arrays())
    with np.load(tmp_path / "x.npz") as theirs:
        assert set(theirs.files) == {*ENTRIES, "baseline", "episode_count"}
        assert {theirs[name].dtype for name in ENTRIES} == {np.dtype(np.float64)}
        assert (theirs["baseline"][0], theirs["episode_count"][0]) == (-2.5, 7)
        expected = probabilities(theirs, STATES)
    np.testing.assert_allclose(np.exp(log_softmax(model.logits(STATES))), expected, atol=1e-6)
    again = read_bot_model(tmp_path / "x.npz")
    for name, array in again.params.items():
        np.testing.assert_array_equal(array, params[name])


def test_a_real_model_is_read_where_there_is_one():
    for path in (REAL / "model").glob("*.npz"):
        model = read_bot_model(path)
        with np.load(path) as theirs:
            expected = probabilities(theirs, STATES)
            assert model.episode_count == theirs["episode_count"][0]
        np.testing.assert_allclose(np.exp(log_softmax(model.logits(STATES))), expected, atol=1e-6)


def test_missing_arrays_of_early_models_and_additional_ones_of_late_models_are_accepted(tmp_path):
    early = read_bot_model(write_model(tmp_path / "a.npz", baseline=None, episode_count=None))
    assert (early.baseline, early.episode_count) == (0, 0)
    late = read_bot_model(write_model(tmp_path / "b.npz", timestamp=np.array([1.7e9]), note=np.array(["text"])))
    assert late.episode_count == 321


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"W2": None}, "W2: missing"),
        ({"W1": np.zeros((64, 15))}, r"W1: float64 \(64, 15\), expected float64 \(15, 64\)"),
        ({"b3": np.zeros(6)}, "b3"),
        ({"b1": np.zeros(64, np.int64)}, "b1: int64"),
        ({"W3": np.full((64, 5), np.nan)}, "W3: not finite"),
        ({"W3": np.full((64, 5), 1e300)}, "W3: not finite in single precision"),
        ({"baseline": np.zeros(2)}, "baseline"),
        ({"episode_count": np.array([-1])}, "episode_count"),
        ({"W1": np.array([[object()]])}, "W1.*object"),
    ],
)
def test_an_invalid_model_is_refused_by_file_and_array(tmp_path, changed, expected):
    path = write_model(tmp_path / "x.npz", **changed)
    with pytest.raises(ConfigError, match=f"model {path}: .*{expected}"):
        read_bot_model(path)


@pytest.mark.parametrize(
    ("game", "network", "field"),
    [
        (replace(GAME, observation_shape=(14,)), NETWORK, "observation_shape"),
        (replace(GAME, actions=Discrete(4)), NETWORK, "actions"),
        (replace(GAME, masked=True), NETWORK, "masked"),
        (GAME, replace(NETWORK, hidden=(64,)), "hidden"),
        (GAME, replace(NETWORK, activation="tanh"), "activation"),
        (GAME, replace(NETWORK, shared=True), "shared"),
        (GAME, replace(NETWORK, normalize_observations=True), "normalize_observations"),
    ],
)
def test_only_a_network_like_the_bots_fits_into_its_file(game, network, field):
    check_exportable(GAME, NETWORK)
    with pytest.raises(ConfigError, match=f"^{field}: "):
        check_exportable(game, network)
