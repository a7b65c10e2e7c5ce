"""A loaded policy: the actors' numbers in the game's units, and what is no observation of the game is refused."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector.utils import batch_space, iterate

from broodmind import Box, BroodmindError, Discrete, GameSpec, MultiDiscrete
from broodmind.actors.games.adapter.action_space import ActionAdapter
from broodmind.actors.games.adapter.observation_space import observation_layout
from broodmind.actors.inference.batched_inference import to_game_action
from broodmind.actors.inference.policy import Policy as ActorPolicy
from broodmind.common.policy.network import MEAN, SCALE, initial_params
from broodmind.common.spec import NetworkSpec, RunSpec
from broodmind.common.wire.weights import Pointer
from broodmind.deploy.policies.policy import Policy

ACTIONS = {
    "discrete": Discrete(5),
    "choices": MultiDiscrete((3, 4)),
    "box": Box((-2.0, 0.0), (2.0, 10.0)),
}


def spec_of(actions, *, masked=False, dtype="float32", normalize=False, shared=False):
    game = GameSpec("toy", (2, 3), actions, masked=masked, observation_dtype=dtype)
    return RunSpec(game, NetworkSpec((16, 8), shared=shared, normalize_observations=normalize))


def made(spec, seed=0):
    """Parameters whose outputs differ from observation to observation, as after training."""
    rng = np.random.default_rng(seed)
    params = initial_params(spec.network, spec.game, rng)
    params = {name: rng.normal(0, 0.7, array.shape).astype(np.float32) for name, array in params.items()}
    if spec.network.normalize_observations:
        params |= {MEAN: rng.normal(size=6).astype(np.float32), SCALE: rng.uniform(0.5, 2, 6).astype(np.float32)}
    return params


def observations_of(spec, batch, seed=1):
    rng = np.random.default_rng(seed)
    if spec.game.observation_dtype == "uint8":
        return rng.integers(0, 256, (batch, 2, 3)).astype(np.uint8)
    return rng.normal(size=(batch, 2, 3)).astype(np.float32)


def masks_of(spec, batch, seed=2):
    if not spec.game.masked:
        return None
    masks = np.random.default_rng(seed).random((batch, sum(spec.game.actions.sizes))) < 0.6
    masks[:, :: spec.game.actions.sizes[0]] = True  # the first option of each of the first choices
    masks[:, 0] = True
    return masks


@pytest.mark.parametrize("batch", [1, 7, 1500])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("form", [{}, {"dtype": "uint8"}, {"normalize": True, "shared": True}], ids=str)
@pytest.mark.parametrize("actions", ACTIONS.values(), ids=list(ACTIONS))
def test_it_computes_what_the_actors_compute_bit_for_bit(actions, form, masked, batch):
    if masked and not actions.sizes:
        return
    spec = spec_of(actions, masked=masked, **form)
    params, observations, masks = made(spec), observations_of(spec, batch), masks_of(spec, batch)
    ours, theirs = Policy(params, spec), ActorPolicy(Pointer(1, 1, "", "", 0), params, spec)
    rng = np.random.default_rng(5)
    greedy, drawn = ours.act(observations, mask=masks), ours.act(observations, greedy=False, mask=masks, rng=rng)
    best, (sampled, _) = theirs.best(observations, masks), theirs.act(observations, masks, np.random.default_rng(5))
    if isinstance(actions, Box):
        best, sampled = (to_game_action(each, actions).astype(np.float32) for each in (best, sampled))
    np.testing.assert_array_equal(greedy, best)
    np.testing.assert_array_equal(drawn, sampled)
    assert batch == 1 or (greedy != drawn).any()


@pytest.mark.parametrize("actions", ACTIONS.values(), ids=list(ACTIONS))
def test_one_observation_gets_one_action_in_the_games_units(actions):
    policy = Policy(made(spec := spec_of(actions)), spec)
    observation = observations_of(spec, 1)[0]
    action = policy.act(observation)
    assert np.array_equal(action, policy.act(observation[None])[0])
    match actions:
        case Discrete():
            assert type(action) is int
        case MultiDiscrete():
            assert action.dtype == np.int32
            assert action.shape == (2,)
        case Box():
            assert action.dtype == np.float32
            assert (np.array(actions.low) <= action).all()
            assert (action <= np.array(actions.high)).all()
    assert np.array_equal(policy.act(observation.tolist()), action)


SPACES = {
    "start": spaces.Discrete(4, start=3),
    "grid": spaces.MultiDiscrete([[3, 2], [4, 5]]),
    "binary": spaces.MultiBinary(3),
    "boxes": spaces.Dict({
        "arm": spaces.Box(-2.0, 5.0, (2, 3)), "leg": spaces.Tuple((spaces.Box(0, 9, (1,), np.int16),)),
    }),
    "choices": spaces.Tuple((spaces.Discrete(3), spaces.Dict({"a": spaces.MultiBinary(2), "b": spaces.Discrete(2)}))),
}  # fmt: skip


@pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))
def test_with_the_environment_s_space_an_action_has_its_form(space):
    spec = spec_of(ActionAdapter("toy", space).actions)
    policy, observations = Policy(made(spec), spec), observations_of(spec, 5)
    actions = [policy.act(each, space=space) for each in observations]
    assert all(space.contains(action) for action in actions)
    for at, action in enumerate(iterate(batch_space(space, 5), policy.act(observations, space=space))):
        assert data_equivalence(action, actions[at])  # but for the rounding of another batch size
    drawn = policy.act(observations[0], greedy=False, space=space, rng=np.random.default_rng(1))
    assert space.contains(drawn)
    # It is the same action as without, which is flat.
    flat = policy.act(observations[0])
    if isinstance(space, spaces.Discrete):
        assert actions[0] == flat + 3
    elif spec.game.actions.sizes == (2, 2, 2):
        np.testing.assert_array_equal(actions[0], flat)
    elif isinstance(space, spaces.Dict):
        np.testing.assert_array_equal(actions[0]["arm"], flat[:6].reshape(2, 3))
        np.testing.assert_array_equal(actions[0]["leg"][0], np.rint(flat[6:]))


def test_the_space_of_another_game_is_refused():
    policy = Policy(made(spec := spec_of(Discrete(4))), spec)
    with pytest.raises(BroodmindError, match=r"^space: Discrete\(5\), expected that of toy, with Discrete\(n=4\)$"):
        policy.act(np.zeros((2, 3)), space=spaces.Discrete(5))


def test_numbers_beyond_the_bounds_are_clipped_to_them():
    spec = spec_of(ACTIONS["box"])
    params = {**made(spec), "policy/b2": np.array([99, -99], np.float32)}
    np.testing.assert_array_equal(Policy(params, spec).act(np.zeros((2, 3))), np.array([2, 0], np.float32))


def test_a_mask_forbids_actions():
    policy = Policy(made(spec := spec_of(Discrete(5), masked=True)), spec)
    observations = observations_of(spec, 50)
    for action in range(5):
        only = np.arange(5) == action
        assert policy.act(observations[0], mask=only) == action
        assert (policy.act(observations, mask=np.tile(only, (50, 1))) == action).all()
        assert (policy.act(observations, greedy=False, mask=np.tile(only, (50, 1))) == action).all()


def test_drawn_actions_differ_and_repeat_with_a_generator_of_the_same_seed():
    policy = Policy(made(spec := spec_of(ACTIONS["box"])), spec)
    observation = observations_of(spec, 1)[0]
    drawn = [policy.act(observation, greedy=False, rng=np.random.default_rng(seed)) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    many = np.tile(observation, (50, 1, 1))
    policy = Policy(made(spec := spec_of(Discrete(5))), spec)
    assert len(set(policy.act(many, greedy=False).tolist())) > 1


def test_values_are_one_number_for_each_observation():
    policy = Policy(made(spec := spec_of(Discrete(5), shared=True)), spec)
    observations = observations_of(spec, 4)
    values = policy.value(observations)
    assert values.shape == (4,)
    assert values.dtype == np.float32
    assert policy.value(observations[2]) == pytest.approx(values[2], rel=1e-5)
    assert len(set(values.tolist())) == 4


def test_a_policy_whose_value_function_was_never_trained_says_so():
    spec = spec_of(Discrete(5))
    fresh = Policy(initial_params(spec.network, spec.game, np.random.default_rng(0)), spec)
    without = Policy({name: array for name, array in made(spec).items() if "value" not in name}, spec)
    for policy in (fresh, without):
        assert not policy.has_value
        assert policy.act(np.zeros((2, 3))) in range(5)
        with pytest.raises(BroodmindError, match=r"value: <broodmind.Policy of toy.* no trained value function"):
            policy.value(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("form", "observation", "mask", "line"),
    [
        ({}, np.zeros(6), None, r"observation: shape \(6,\), expected \(2, 3\) for toy, or \(B, 2, 3\)"),
        ({}, np.zeros((4, 3, 2)), None, r"observation: shape \(4, 3, 2\), expected \(2, 3\)"),
        ({}, np.full((2, 3), np.nan), None, "observation: not finite"),
        ({}, np.full((2, 3), 1e300), None, "observation: not finite"),
        ({}, np.full((2, 3), "x"), None, "observation: <U1, expected float32 for toy"),
        ({"dtype": "uint8"}, np.zeros((2, 3)), None, "observation: float64, expected uint8 for toy"),
        ({}, np.zeros((2, 3)), np.ones(4), r"mask: shape \(4,\), expected \(5,\)"),
        ({}, np.zeros((7, 2, 3)), np.ones(5), r"mask: shape \(5,\), expected \(7, 5\)"),
        ({}, np.zeros((2, 3)), np.zeros(5), "mask: no action allowed"),
        ({"masked": True}, np.zeros((2, 3)), None, "mask: none, expected the allowed actions, 5 for each observation"),
    ],
)
def test_what_does_not_fit_the_game_is_refused_by_its_name(form, observation, mask, line):
    policy = Policy(made(spec := spec_of(Discrete(5), **form)), spec)
    with pytest.raises(BroodmindError, match=line):
        policy.act(observation, mask=mask)


def test_a_mask_for_numbers_is_refused():
    policy = Policy(made(spec := spec_of(ACTIONS["box"])), spec)
    with pytest.raises(BroodmindError, match="mask: given, expected none"):
        policy.act(np.zeros((2, 3)), mask=[True, True])


MIXED = spaces.Dict(
    {
        "place": spaces.Box(-1, 1, (2,)),
        "kind": spaces.Discrete(3, start=1),
        "more": spaces.Tuple([spaces.MultiBinary(2)]),
    }
)


def test_an_observation_of_several_parts_is_taken_in_the_games_own_form():
    parts = observation_layout("toy", MIXED).parts
    game = GameSpec("toy", (7,), Discrete(4), observation_parts=parts)
    policy = Policy(made(spec := RunSpec(game, NetworkSpec((16, 8)))), spec)
    MIXED.seed(3)
    samples = [MIXED.sample() for _ in range(20)]
    flat = np.array([spaces.utils.flatten(MIXED, each) for each in samples], np.float32)
    batch = {
        "place": np.stack([each["place"] for each in samples]),
        "kind": np.array([each["kind"] for each in samples]),
        "more": (np.stack([each["more"][0] for each in samples]),),
    }
    np.testing.assert_array_equal(policy.act(batch), policy.act(flat))
    np.testing.assert_array_equal(policy.value(batch), policy.value(flat))
    assert [policy.act(each) for each in samples] == [policy.act(row) for row in flat]
    assert len(set(policy.act(flat).tolist())) > 1
    for wrong, line in (
        ({**samples[0], "kind": 0}, "kind: 0, expected 1 to 3"),
        ({**samples[0], "place": np.zeros(3)}, r"place: shape \(3,\), expected \(2,\)"),
        ({**samples[0], "more": ()}, "more.*: missing from the observation"),
        ({**samples[0], "kind": np.ones((2, 2))}, r"kind: shape \(2, 2\), expected \(\), or \(B,\)"),
        ({**samples[0], "kind": 1.0}, "kind: float64, expected whole numbers"),
        ({**batch, "kind": np.ones(3, int)}, "more.*: 20 of them, expected 3 as of the others"),
        ({"place": np.zeros(2)}, "kind: missing from the observation"),
    ):
        with pytest.raises(BroodmindError, match=f"^observation of toy: {line}$"):
            policy.act(wrong)


def test_the_mask_is_taken_from_an_observation_that_has_one():
    layout = observation_layout(
        "toy", spaces.Dict({"x": spaces.Box(-1, 1, (2,)), "action_mask": spaces.MultiBinary(3)})
    )
    game = GameSpec("toy", layout.shape, Discrete(3), masked=layout.masked, observation_parts=layout.parts)
    policy = Policy(made(spec := RunSpec(game, NetworkSpec((16, 8)))), spec)
    for action in range(3):
        only = np.arange(3) == action
        assert policy.act({"x": np.ones(2), "action_mask": only.astype(np.int8)}) == action
        assert policy.act(np.ones(2), mask=only) == action


def test_an_option_s_number_is_an_observation_by_itself():
    parts = observation_layout("toy", spaces.Discrete(5, start=2)).parts
    game = GameSpec("toy", (5,), Discrete(4), observation_parts=parts)
    policy = Policy(made(spec := RunSpec(game, NetworkSpec((16, 8)))), spec)
    flat = np.eye(5, dtype=np.float32)
    assert [policy.act(number) for number in range(2, 7)] == policy.act(flat).tolist()
    assert policy.act(np.arange(2, 7)).tolist() == policy.act(flat).tolist()
    assert policy.act(flat[3]) == policy.act(5)
