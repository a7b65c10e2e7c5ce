"""The original bot's experience: read game by game, refused by name, packed for a run."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from support.bot_files import REAL, game_arrays, model_arrays, probabilities, write_game, write_model
from support.runs import make_header

from broodmind.actors.games.observation_fit import fit_states, fitted_game
from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.actors.offline.behaviour_policy import BehaviourPolicy, parse_behaviour
from broodmind.actors.offline.bot_experience import ExperienceOptions, check_readable, read_experience
from broodmind.actors.offline.collate_games import can_concatenate, collate_games, concatenate_columns
from broodmind.common.actions import Box, Discrete
from broodmind.common.errors import ConfigError, WireError
from broodmind.common.spec import GameSpec, RolloutSpec, RunSpec
from broodmind.common.wire.bot_model import GAME, read_bot_model
from broodmind.common.wire.entry_header import Episodes
from broodmind.common.wire.trajectory import decode_trajectory, encode_trajectory

UNIFORM = ExperienceOptions(BehaviourPolicy())


def read(path, **options):
    return read_experience(path, GAME, replace(UNIFORM, **options))


def test_each_action_gets_the_reward_that_followed_it(tmp_path):
    made = game_arrays(20)
    game = read(write_game(tmp_path / "x.npz"))
    assert len(game.actions) == 19
    np.testing.assert_array_equal(game.observations, made["states"])  # the last is the final observation
    np.testing.assert_array_equal(game.actions, made["actions"][:-1])
    np.testing.assert_allclose(game.rewards, made["rewards"][1:], rtol=1e-6)
    np.testing.assert_allclose(game.log_probs, -math.log(5), rtol=1e-6)


def test_rewards_that_are_not_shifted_stay_where_they_are(tmp_path):
    made = game_arrays(20)
    game = read(write_game(tmp_path / "x.npz"), rewards_shifted=False)
    np.testing.assert_array_equal(game.actions, made["actions"])
    np.testing.assert_allclose(game.rewards, made["rewards"], rtol=1e-6)
    np.testing.assert_array_equal(game.observations[:-1], made["states"])
    assert len(game.observations) == 21


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4", ">f8"])
def test_rewards_and_states_are_of_either_precision_and_byte_order(tmp_path, dtype):
    made = game_arrays()
    path = write_game(tmp_path / "x.npz", rewards=made["rewards"].astype(dtype), states=made["states"].astype(dtype))
    game = read(path)
    np.testing.assert_allclose(game.rewards, made["rewards"][1:], rtol=1e-6)
    assert {game.rewards.dtype, game.observations.dtype} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"rewards": np.zeros(2560)}, "^rewards: 2560, expected 20, as many as states: one for each frame"),
        ({"rewards": np.zeros(19)}, "^rewards: 19, expected 20, as many as states$"),
        ({"actions": np.zeros(21, np.int64)}, "^actions: 21"),
        ({"rewards": None}, "^rewards: missing"),
        ({"states": None}, "^states: missing"),
        ({"actions": np.zeros(20)}, "^actions: dtype float64"),
        ({"states": np.zeros((20, 15), np.int64)}, "^states: dtype int64"),
        ({"states": np.zeros(20, np.float32)}, r"^states: shape \(20,\)"),
        ({"rewards": np.full(20, np.nan)}, "^rewards: not finite"),
        ({"states": np.full((20, 15), np.inf)}, "^states: not finite"),
        ({"rewards": np.full(20, -1.1e6)}, r"^rewards: up to 1.1e\+06, expected at most 1000000"),
        ({"states": np.full((20, 15), 1e7)}, "^states: up to"),
        ({"actions": np.full(20, 5)}, "^actions: 5 to 5, expected 0 to 4"),
        ({"actions": np.full(20, -1)}, "^actions: -1"),
        ({"rewards": np.array([object()] * 20)}, "rewards.*object"),
    ],
)
def test_an_invalid_game_is_refused_by_the_arrays_name(tmp_path, changed, expected):
    with pytest.raises(WireError, match=expected):
        read(write_game(tmp_path / "x.npz", **changed))


def test_a_game_without_a_decision_to_learn_from_is_refused(tmp_path):
    path = write_game(tmp_path / "x.npz", 1)
    with pytest.raises(WireError, match="states: 1 steps, expected at least 2"):
        read(path)
    assert len(read(path, rewards_shifted=False).actions) == 1
    with pytest.raises(WireError, match="states: 0 steps"):
        read(write_game(tmp_path / "y.npz", 0), rewards_shifted=False)


def test_a_game_longer_than_the_run_takes_is_refused(tmp_path):
    path = write_game(tmp_path / "x.npz", 20)
    assert read_experience(path, GAME, UNIFORM, 20)
    with pytest.raises(WireError, match="states: 20 steps, expected at most 19"):
        read_experience(path, GAME, UNIFORM, 19)


def test_the_large_returns_of_some_real_games_are_accepted(tmp_path):
    assert read(write_game(tmp_path / "x.npz", rewards=np.full(20, -4538.0))).rewards.sum() < -8000


# States of another length.


@pytest.mark.parametrize(
    ("length", "fit", "expected"),
    [
        (15, "exact", 15),
        (15, "cut", 15),
        (15, "pad", 15),
        (17, "exact", None),
        (17, "cut", 15),
        (17, "pad", 15),
        (12, "exact", None),
        (12, "cut", None),
        (12, "pad", 12),
    ],
)
def test_observations_of_another_length_are_resized_only_if_asked_for(length, fit, expected):
    states = np.arange(1, 4 * length + 1, dtype=np.float64).reshape(4, length)
    if expected is None:
        with pytest.raises(WireError, match=f"^observation: {length} features, expected 15"):
            fit_states(states, 15, fit, "observation")
        return
    fitted = fit_states(states, 15, fit)
    assert (fitted.shape, fitted.dtype) == ((4, 15), np.float32)
    np.testing.assert_array_equal(fitted[:, :expected], states[:, :expected])
    assert not fitted[:, expected:].any()


def test_a_file_with_observations_of_another_length_is_refused_unless_asked_for(tmp_path):
    wide, narrow = write_game(tmp_path / "w.npz", features=18), write_game(tmp_path / "n.npz", features=9)
    for path in (wide, narrow):
        with pytest.raises(WireError, match=r"^states: .* features, expected 15"):
            read(path)
    assert read(wide, observation_fit="cut").observations.shape == (20, 15)
    assert read(narrow, observation_fit="pad").observations.shape == (20, 15)


def test_observations_are_resized_as_the_run_says():
    game = TinyZerg(3)
    spec = RunSpec(replace(game.spec, observation_shape=(20,)))
    assert fitted_game(game, spec) is game
    fitted = fitted_game(game, replace(spec, rollout=RolloutSpec(observation_fit="pad")))
    spec.check_game(fitted.spec)
    assert fitted.num_envs == 3
    plain = TinyZerg(3)
    actions = np.array([0, 1, 2])
    for ours, theirs in ((fitted.reset(1), plain.reset(1)), (fitted.step(actions), plain.step(actions))):
        assert ours.observations.shape == (3, 20)
        np.testing.assert_array_equal(ours.observations[:, : theirs.observations.shape[1]], theirs.observations)
        np.testing.assert_array_equal(ours.rewards, theirs.rewards)


# Behaviour policies by their names.


def test_epsilon_greedy_probabilities_are_those_of_its_definition(tmp_path):
    made, model = game_arrays(60), read_bot_model(write_model(tmp_path / "m.npz"))
    behaviour = parse_behaviour("epsilon:0.25", model)
    best = probabilities(model_arrays(), made["states"]).argmax(axis=1)
    every = [np.exp(behaviour.log_probs(made["states"], np.full(60, action), 5)) for action in range(5)]
    np.testing.assert_allclose(np.sum(every, axis=0), 1, rtol=1e-6)
    for action in range(5):
        np.testing.assert_allclose(every[action], np.where(best == action, 0.8, 0.05), rtol=1e-6)


@pytest.mark.parametrize(
    "text", ["", "greedy", "uniform:1", "epsilon", "epsilon:", "epsilon:0", "epsilon:1.1", "epsilon:nan"]
)
def test_an_invalid_behaviour_policy_is_refused(tmp_path, text):
    with pytest.raises(ConfigError, match=f"behaviour: '{text}', expected"):
        parse_behaviour(text, read_bot_model(write_model(tmp_path / "m.npz")) if text.startswith("eps") else None)


def test_a_behaviour_policy_takes_a_model_only_if_it_needs_one(tmp_path):
    with pytest.raises(ConfigError, match=r"epsilon:0.5.*expected --model"):
        parse_behaviour("epsilon:0.5", None)
    with pytest.raises(ConfigError, match=r"^model: "):
        parse_behaviour("uniform", read_bot_model(write_model(tmp_path / "m.npz")))


# Packing.


def a_run(unroll="steps", length=8, game=GAME):
    return RunSpec(game, rollout=RolloutSpec(unroll, length))


def games_of(tmp_path, *decisions):
    return [read(write_game(tmp_path / f"{i}.npz", n, seed=i)) for i, n in enumerate(decisions)]


def timeline(trajectory):
    """The valid steps in the order they were played: column after column."""

    def flat(array):
        return array.swapaxes(0, 1)[trajectory.valid.T]

    return [flat(getattr(trajectory, name)) for name in ("actions", "rewards", "log_probs", "terminated")]


@pytest.mark.parametrize("decisions", [(2,), (5,), (9,), (10,), (20, 2, 9, 33), (9, 9, 9), (2, 2, 2, 2, 2, 2)])
@pytest.mark.parametrize("length", [1, 2, 8, 100])
def test_collated_games_keep_their_content_and_are_accepted_by_the_learner(tmp_path, decisions, length):
    games, spec = games_of(tmp_path, *decisions), a_run(length=length)
    packed = collate_games(games, spec)
    steps = sum(decisions) - len(decisions)
    assert (packed.steps, packed.games) == (steps, len(games))
    taken = decode_trajectory(
        encode_trajectory(packed, "a", spec), make_header(0, 0, steps, packed.episodes, 1, imported=True), "a", spec
    )
    actions, rewards, log_probs, terminated = timeline(taken)
    np.testing.assert_array_equal(actions, np.concatenate([game.actions for game in games]))
    np.testing.assert_array_equal(rewards, np.concatenate([game.rewards for game in games]))
    np.testing.assert_allclose(log_probs, -math.log(5), rtol=1e-6)
    ends = np.cumsum([len(game.actions) for game in games]) - 1
    np.testing.assert_array_equal(np.flatnonzero(terminated), ends)
    assert not taken.truncated.any()
    assert taken.episodes.lengths == tuple(len(game.actions) for game in games)
    np.testing.assert_allclose(taken.episodes.returns, [game.rewards.sum() for game in games], rtol=1e-5)


def test_each_step_is_followed_by_its_next_observation(tmp_path):
    games = games_of(tmp_path, 20, 3, 17)
    packed = collate_games(games, a_run(length=8))
    before = packed.observations[:-1].swapaxes(0, 1)[packed.valid.T]
    behind = packed.observations[1:].swapaxes(0, 1)[packed.valid.T]
    np.testing.assert_array_equal(before, np.concatenate([game.observations[:-1] for game in games]))
    np.testing.assert_array_equal(behind, np.concatenate([game.observations[1:] for game in games]))


def test_a_whole_game_is_one_column(tmp_path):
    (game,) = games_of(tmp_path, 20)
    packed = collate_games([game], a_run("games", 4096))
    assert packed.actions.shape == (19, 1)
    assert packed.valid.all()
    np.testing.assert_array_equal(packed.observations[:, 0], game.observations)


@pytest.mark.parametrize(
    ("game", "field"),
    [
        (GameSpec("x", (3, 5), Discrete(5)), "observation_shape"),
        (GameSpec("x", (15,), Box((-1.0,), (1.0,))), "actions"),
        (GameSpec("x", (15,), Discrete(5), masked=True), "masked"),
        (GameSpec("x", (15,), Discrete(5), observation_dtype="uint8"), "observation_dtype"),
    ],
)
def test_games_whose_data_these_files_lack_are_refused(game, field):
    check_readable(GAME)
    with pytest.raises(ConfigError, match=f"^{field} of x: "):
        check_readable(game)


def test_collated_fragments_keep_their_content(tmp_path):
    spec = a_run(length=8)
    fragments = [collate_games(games_of(tmp_path, *decisions), spec) for decisions in ((9,), (20, 12), (9, 9))]
    assert all(can_concatenate(fragments[0], fragment) for fragment in fragments)
    whole = concatenate_columns(fragments)
    taken = decode_trajectory(
        encode_trajectory(whole, "a", spec), make_header(0, 0, whole.steps, whole.episodes, 1, imported=True), "a", spec
    )
    assert (taken.steps, taken.games) == (sum(each.steps for each in fragments), 5)
    for name in ("observations", "actions", "log_probs", "rewards", "terminated", "valid"):
        np.testing.assert_array_equal(
            getattr(taken, name), np.hstack([getattr(fragment, name) for fragment in fragments])
        )
    assert taken.episodes.lengths == (8, 19, 11, 8, 8)


def test_fragments_of_different_lengths_or_fields_are_not_collated(tmp_path):
    (fragment,) = [collate_games(games_of(tmp_path, 9), a_run(length=8))]
    assert can_concatenate(fragment, fragment)
    assert not can_concatenate(fragment, collate_games(games_of(tmp_path, 9), a_run(length=4)))
    with_wins = replace(fragment, episodes=replace(fragment.episodes, wins=(True,)))
    assert not can_concatenate(fragment, with_wins)
    assert can_concatenate(fragment, replace(with_wins, episodes=Episodes(wins=())))  # without a game


# The real ones.


def test_real_files_are_accepted_or_refused_as_their_folder_names_say():
    if not REAL.exists():
        return
    sound = [read(path) for path in sorted((REAL / "experience").glob("*.npz"))]
    assert len(sound) == 14
    assert sum(len(game.actions) for game in sound) == 713
    corrupt = sorted((REAL / "corrupted").glob("*.npz"))
    assert len(corrupt) == 8
    for path in corrupt:
        with pytest.raises(WireError, match=r"^rewards: \d{4}, expected \d\d, as many as states: one for each frame"):
            read(path)
