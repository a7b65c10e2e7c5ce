"""Gymnasium's environments as games: what the policy counts, what the environment gets, what is refused."""

import copy
import sys
import types
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support.environments import Plain
from support.runs import make_header

from broodmind.actors.games.gymnasium_adapter import GymnasiumGame, from_factory, from_id
from broodmind.actors.games.registry import make_game
from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.actors.inference.policy import Policy
from broodmind.actors.rollout import GamesInProgress, StepRollout
from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.errors import ConfigError, GameError
from broodmind.common.policy.network import initial_params, prepare
from broodmind.common.spec import NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.trajectory import decode_trajectory, encode_trajectory
from broodmind.common.wire.weights import Pointer
from broodmind.learner.algorithms.batch import collate

TAXI = max(name for name in gymnasium.registry if name.startswith("Taxi-v"))


class Recorder(gymnasium.Env):
    """Remembers what it was told to do; over after three steps. Observes a number."""

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, action_space=None, observation_space=None, *, both=False):
        if action_space is not None:
            self.action_space = action_space
        if observation_space is not None:
            self.observation_space = copy.copy(observation_space)
        self.told, self.at, self.both = [], 0, both

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.at = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.told.append(action)
        self.at += 1
        over = self.at == 3
        return self.observation_space.sample(), float(self.at), over, over and self.both, {}


def recorded(*spaces_, copies=2, **options):
    """A game of recorders, and the recorders."""
    env = SyncVectorEnv([lambda: Recorder(*spaces_, **options)] * copies)
    return GymnasiumGame("recorder", env), [each.unwrapped for each in env.envs]


# Actions.


def test_continuous_actions_are_clipped_and_then_scaled_to_the_bounds():
    low, high = np.array([-2.0, 0.0, 10.0], np.float32), np.array([2.0, 1.0, 30.0], np.float32)
    game, (first, second) = recorded(spaces.Box(low, high))
    assert game.spec.actions == Box((-2.0, 0.0, 10.0), (2.0, 1.0, 30.0))
    game.reset(1)
    game.step(np.array([[-1.0, 0.0, 1.0], [0.5, -0.5, 0.25]], np.float32))
    game.step(np.array([[-9.0, 9.0, -1.5], [1.0, 1.5, 3e38]], np.float32))
    np.testing.assert_allclose(first.told, [[-2, 0.5, 30], [-2, 1, 10]], rtol=1e-6)
    np.testing.assert_allclose(second.told, [[1, 0.25, 22.5], [2, 1, 30]], rtol=1e-6)
    assert first.told[0].dtype == np.float32


def test_a_matrix_of_actions_is_flat_for_the_policy_and_keeps_its_shape_for_the_environment():
    game, (only,) = recorded(spaces.Box(-3.0, 3.0, (2, 2), np.float64), copies=1)
    assert game.spec.actions == Box((-3.0,) * 4, (3.0,) * 4)
    game.reset(1)
    game.step(np.array([[-1.0, 0.0, 0.5, 1.0]], np.float32))
    assert only.told[0].tolist() == [[-3.0, 0.0], [1.5, 3.0]]
    assert only.told[0].dtype == np.float64


def test_pendulum_has_one_continuous_action_from_minus_2_to_2():
    game = from_id("Pendulum-v1", 3)
    assert game.spec.actions == Box((-2.0,), (2.0,))
    assert (game.spec.observation_shape, game.spec.masked, game.num_envs) == ((3,), False, 3)
    # Its reward has 0.001 torque^2 in it: what lies beyond the bound is the bound.
    rewards = {}
    for push in (1.0, 50.0, 0.0):
        game.reset(4)
        rewards[push] = game.step(np.full((3, 1), push, np.float32)).rewards
    np.testing.assert_array_equal(rewards[1.0], rewards[50.0])
    np.testing.assert_allclose(rewards[0.0] - rewards[1.0], 0.001 * 2.0**2, rtol=1e-3)
    assert rewards[0.0].dtype == np.float32
    game.close()


def test_discrete_actions_with_another_start_are_counted_from_0_by_the_policy():
    game, (first, second) = recorded(spaces.Discrete(4, start=-2))
    assert game.spec.actions == Discrete(4)
    game.reset(1)
    game.step(np.array([0, 3], np.int32))
    game.step(np.array([2, 1], np.int32))
    assert [int(each) for each in first.told] == [-2, 0]
    assert [int(each) for each in second.told] == [1, -1]
    assert all(first.action_space.contains(each) for each in first.told)


@pytest.mark.parametrize(
    ("space", "told"),
    [(spaces.MultiDiscrete([3, 2, 4]), [2, 0, 3]), (spaces.MultiDiscrete([3, 2, 4], start=[10, 5, -1]), [12, 5, 2])],
)
def test_a_multi_discrete_action_has_one_component_for_each_choice(space, told):
    game, (first, second) = recorded(space)
    assert game.spec.actions == MultiDiscrete((3, 2, 4))
    game.reset(1)
    game.step(np.array([[2, 0, 3], [0, 1, 0]], np.int32))
    assert first.told[0].tolist() == told
    assert first.action_space.contains(first.told[0])
    assert second.told[0].tolist() == (np.array([0, 1, 0]) + told - np.array([2, 0, 3])).tolist()


# Observations.


def test_a_discrete_observation_is_one_hot():
    game = from_id("FrozenLake-v1", 5)
    assert (game.spec.observation_shape, game.spec.actions) == ((16,), Discrete(4))
    start = game.reset(3).observations
    assert start.dtype == np.float32
    assert start.tolist() == [[1.0] + [0.0] * 15] * 5  # all begin in the first field
    rng = np.random.default_rng(1)
    for _ in range(60):
        step = game.step(rng.integers(0, 4, 5, dtype=np.int32))
        assert step.observations.shape == (5, 16)
        assert (step.observations.sum(axis=1) == 1).all()
        assert (step.observations.max(axis=1) == 1).all()
        # 5, 7, 11 and 12 are holes and 15 is the goal of the 4x4 map: there, and only there, a game is over.
        assert (np.isin(step.observations.argmax(axis=1), [5, 7, 11, 12, 15]) == step.terminated).all()
    game.close()


def test_a_discrete_observation_with_another_start_is_counted_from_0():
    game, envs = recorded(None, spaces.Discrete(3, start=7))
    for env, place in zip(envs, (7, 9), strict=True):
        env.observation_space.sample = lambda place=place: np.int64(place)
    assert game.spec.observation_shape == (3,)
    assert game.reset(1).observations.tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("space", "shape", "dtype"),
    [
        (spaces.Box(0, 255, (2, 3), np.uint8), (2, 3), "uint8"),
        (spaces.Box(0, 255, (2, 3), np.int64), (2, 3), "float32"),
        (spaces.Box(0, 3, (2, 3), np.uint8), (2, 3), "float32"),  # counts, and not brightness
        (spaces.Box(-1.0, 1.0, (), np.float64), (1,), "float32"),
        (spaces.Box(-np.inf, np.inf, (4,), np.float32), (4,), "float32"),
    ],
)
def test_numbers_are_observed_in_single_precision_or_as_bytes_in_their_shape(space, shape, dtype):
    game, _ = recorded(None, space)
    assert game.spec.observation_shape == shape
    observations = game.reset(1).observations
    assert game.spec.observation_dtype == dtype
    assert (observations.dtype, observations.shape) == (np.dtype(dtype), (2, *shape))


def test_bytes_are_sent_as_such_and_trained_on_as_numbers_of_0_to_1():
    game, _ = recorded(None, spaces.Box(0, 255, (2, 3), np.uint8))
    spec = RunSpec(game.spec, NetworkSpec((4,)), RolloutSpec(fragment_length=5))
    params = initial_params(spec.network, spec.game, np.random.default_rng(1))
    rollout = StepRollout(GamesInProgress(game, 7, np.random.default_rng(2)), 5)
    (fragment,) = rollout.play(Policy(Pointer(1, 3, "c", "d", 1), params, spec))
    played = fragment.trajectory
    payload = encode_trajectory(played, "a", spec)
    received = decode_trajectory(payload, make_header(3, 1, played.steps, played.episodes, 1), "a", spec)
    assert {played.observations.dtype, received.observations.dtype} == {np.dtype(np.uint8)}
    assert played.observations.max() > 1
    batch = collate([received])
    assert batch.observations.dtype == np.float32
    np.testing.assert_allclose(batch.observations, played.observations.reshape(6, 2, 6) / 255, rtol=1e-6)
    np.testing.assert_array_equal(prepare(params, played.observations[0]), batch.observations[0])  # as the actors do


# Masks.


def test_the_mask_is_that_of_the_state_observed():
    game = from_id(TAXI, 4)
    assert (game.spec.masked, game.spec.actions, game.spec.observation_shape) == (True, Discrete(6), (500,))
    taxi: Any = gymnasium.make(TAXI).unwrapped
    rng = np.random.default_rng(2)
    step = game.reset(5)
    ended = 0
    for _ in range(450):  # over two games' ends and the resets after them: a game is cut at 200
        assert step.masks.dtype == np.bool_
        states = step.observations.argmax(axis=1)
        assert step.masks.tolist() == [taxi.action_mask(int(state)).astype(bool).tolist() for state in states]
        allowed = [np.flatnonzero(mask) for mask in step.masks]
        step = game.step(np.array([rng.choice(each) for each in allowed], np.int32))
        ended += int((step.terminated | step.truncated).sum())
    assert ended >= 8
    game.close()


class Stuck(Recorder):
    """Allows the second action only, and none at its end."""

    def reset(self, *, seed=None, options=None):
        observation, _ = super().reset(seed=seed, options=options)
        return observation, {"action_mask": np.array([0, 1, 0], np.int8)}

    def step(self, action):
        observation, reward, terminated, truncated, _ = super().step(action)
        mask = np.array([0, 0 if terminated else 1, 0], np.int8)
        return observation, reward, terminated, truncated, {"action_mask": mask}


def test_a_mask_that_allows_nothing_is_replaced_by_one_that_allows_everything():
    game = GymnasiumGame("stuck", SyncVectorEnv([Stuck, Stuck]))
    masks = [game.reset(1).masks]
    masks += [game.step(np.ones(2, np.int32)).masks for _ in range(4)]
    only, everything = [[False, True, False]] * 2, [[True] * 3] * 2
    assert [each.tolist() for each in masks] == [only, only, only, everything, only]


def test_a_game_without_masks_has_none():
    game, _ = recorded()
    assert game.reset(1).masks is None
    assert game.step(np.zeros(2, np.int32)).masks is None


class Late(Recorder):
    """Has a mask from the first step on only."""

    def step(self, action):
        *others, _ = super().step(action)
        return *others, {"action_mask": np.ones(3, np.int8)}


def test_a_mask_that_reset_does_not_give_is_refused_by_name():
    game = GymnasiumGame("late", SyncVectorEnv([Late]))
    game.reset(1)
    with pytest.raises(GameError, match=r"^game late: action_mask: in the info of step and not of reset"):
        game.step(np.zeros(1, np.int32))


# Steps.


class OnceOnly(Recorder):
    """Cannot be reset twice in a row."""

    fresh = False

    def reset(self, *, seed=None, options=None):
        assert not self.fresh
        self.fresh = True
        return super().reset(seed=seed, options=options)


def test_a_game_is_reset_once_before_its_first_step_by_who_knows_whether_it_has_masks():
    game = GymnasiumGame("once", SyncVectorEnv([OnceOnly]), masked=False)
    assert not game.spec.masked
    assert game.reset(1).observations.shape == (1, 2)


def test_a_game_with_masks_that_should_have_none_is_refused():
    with pytest.raises(GameError, match=r"^game stuck: action_mask: "):
        GymnasiumGame("stuck", SyncVectorEnv([Stuck]), masked=False).reset(1)
    with pytest.raises(GameError, match=r"^game plain: action_mask: missing"):
        GymnasiumGame("plain", SyncVectorEnv([Recorder]), masked=True).reset(1)


class Unclosable(Recorder):
    def close(self):
        raise OSError("window already gone")


def test_an_error_of_close_is_only_logged(caplog):
    game = GymnasiumGame("unclosable", SyncVectorEnv([Unclosable]))
    game.reset(1)
    game.close()
    assert "OSError: window already gone" in caplog.text


class Wide(Recorder):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        return np.zeros(6, np.float32), {}


def test_an_observation_of_another_shape_is_named_with_both_shapes_and_its_copy():
    with pytest.raises(GameError, match=r"^game wide: observation: shape \(6,\), expected \(2,\) \(copy 1\)$"):
        GymnasiumGame("wide", SyncVectorEnv([Recorder, Wide])).reset(1)


def test_the_step_after_an_ending_resets():
    game, _ = recorded()
    start = game.reset(1)
    assert (start.rewards.tolist(), start.terminated.any(), start.truncated.any()) == ([0, 0], False, False)
    steps = [game.step(np.zeros(2, np.int32)) for _ in range(5)]
    assert [step.rewards.tolist() for step in steps] == [[n, n] for n in (1, 2, 3, 0, 1)]
    assert [step.terminated.tolist() for step in steps] == [[n, n] for n in (False, False, True, False, False)]


def test_a_terminated_game_is_not_truncated_as_well():
    game, _ = recorded(both=True)
    game.reset(1)
    steps = [game.step(np.zeros(2, np.int32)) for _ in range(3)]
    assert steps[-1].terminated.all()
    assert not steps[-1].truncated.any()


def test_the_seed_determines_the_games():
    game = from_id("Pendulum-v1", 2)
    first, second, other = (game.reset(seed).observations for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert (first[0] != first[1]).any()
    game.close()


# Refusals.


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_environments_with_another_autoreset_mode_are_refused_by_its_name(mode):
    env = SyncVectorEnv([Recorder], autoreset_mode=mode)
    with pytest.raises(ConfigError, match=f"^autoreset mode of mine: {mode}, expected {AutoresetMode.NEXT_STEP}"):
        GymnasiumGame("mine", env)


@pytest.mark.parametrize("name", ["NoSuchGame-v0", "CartPole-v99", "no such"])
def test_an_id_that_is_not_registered_is_refused_by_its_name(name):
    with pytest.raises(
        ConfigError,
        match=f"^game: '{name}', expected TinyZerg, ConnectFour, starcraft2, a Gym",
    ):
        from_id(name, 1)


def test_the_minatar_package_registers_its_games_once(monkeypatch):
    calls = []

    def register_envs():
        calls.append(1)
        gymnasium.register("MinAtar/Pretend-v1", lambda **_: gymnasium.make("CartPole-v1").unwrapped)

    package, module = types.ModuleType("minatar"), types.ModuleType("minatar.gym")
    vars(package)["gym"], vars(module)["register_envs"] = module, register_envs
    monkeypatch.setitem(sys.modules, "minatar", package)
    monkeypatch.setitem(sys.modules, "minatar.gym", module)
    monkeypatch.setattr(gymnasium, "registry", dict(gymnasium.registry))
    monkeypatch.setattr("gymnasium.envs.registration.registry", gymnasium.registry)
    for _ in range(2):
        game = from_id("MinAtar/Pretend-v1", 2)
        assert game.spec.observation_shape == (4,)
        game.close()
    assert calls == [1]


def test_without_minatar_its_games_are_refused_by_their_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "minatar", None)
    with pytest.raises(ConfigError, match=r"^game: 'MinAtar/Breakout-v1', expected .*minatar"):
        from_id("MinAtar/Breakout-v1", 1)


# Factories.


def test_a_factory_of_single_environments_is_called_once_for_each_copy():
    made = []

    def factory():
        made.append(Recorder())
        return made[-1]

    game = from_factory("mine:factory", factory, 3)
    assert isinstance(game, GymnasiumGame)
    assert (game.num_envs, game.spec.name, game.spec.actions) == (3, "mine:factory", Discrete(3))
    game.reset(1)
    game.step(np.array([0, 1, 2], np.int32))
    assert [[int(each) for each in env.told] for env in made[-3:]] == [[0], [1], [2]]


def test_a_class_is_a_factory_too():
    assert from_factory("mine:Plain", Plain, 2).num_envs == 2


def test_a_factory_that_takes_the_number_of_copies_makes_them_all_itself():
    asked = []

    def factory(*, num_envs):
        asked.append(num_envs)
        return SyncVectorEnv([Recorder] * num_envs)

    game = from_factory("mine:factory", factory, 4)
    assert (asked, game.num_envs, type(game)) == ([4], 4, GymnasiumGame)


def test_a_factory_may_return_a_vector_game():
    game = from_factory("mine:factory", TinyZerg, 2)
    assert (type(game), game.num_envs) == (TinyZerg, 2)


def test_a_factory_that_returns_no_environment_is_refused_by_its_name():
    with pytest.raises(ConfigError, match=r"^game: 'mine:factory', .* a gymnasium.Env, got an object of builtins.int"):
        from_factory("mine:factory", lambda: 7, 2)
    with pytest.raises(ConfigError, match=r"^game: 'mine:factory', expected .*num_envs to return .*; got None$"):
        from_factory("mine:factory", lambda num_envs: num_envs and None, 2)


def test_a_factory_is_found_by_its_module_and_name():
    game = make_game("gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv", 2)
    assert (game.spec.observation_shape, game.num_envs) == ((16,), 2)
    with pytest.raises(ConfigError, match="envs: 0"):
        make_game("FrozenLake-v1", 0)
    game.close()
