"""What an update must do whatever the algorithm: go uphill, and not depend on how the batch was put together."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.runs import make_header

from broodmind.common.actions import Discrete
from broodmind.common.errors import WireError
from broodmind.common.policy import categorical
from broodmind.common.policy.network import policy_outputs
from broodmind.common.spec import GameSpec, NetworkSpec, RunSpec
from broodmind.common.wire.entry_header import Episodes
from broodmind.common.wire.trajectory import Trajectory, decode_trajectory, encode_trajectory
from broodmind.learner.algorithms.batch import collate
from broodmind.learner.algorithms.impact.config import ImpactConfig
from broodmind.learner.algorithms.impact.update import Impact
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.ppo.update import PPO
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.algorithms.reinforce.update import Reinforce
from broodmind.learner.algorithms.vtrace_actor_critic.config import VTraceConfig
from broodmind.learner.algorithms.vtrace_actor_critic.update import Impala
from broodmind.learner.maths.flat_parameters import Parameters
from broodmind.learner.maths.optimizers import SGD, Adam
from broodmind.learner.metrics.update_metrics import NonFinite

FEATURES, ACTIONS = 3, 4
GAME = GameSpec("properties", (FEATURES,), Discrete(ACTIONS))
SEPARATE, SHARED = NetworkSpec((6, 5)), NetworkSpec((6, 5), shared=True)
RATE = {"sgd": 0.05, "adam": 0.01}

quickly = settings(max_examples=40)
seeds = st.integers(0, 2**32 - 1)
networks = st.sampled_from([SEPARATE, SHARED, NetworkSpec((7,), "relu")])
each_optimizer = pytest.mark.parametrize("optimizer", ["sgd", "adam"])


def random_params(network, seed, dtype=np.float64):
    params = Parameters(network, GAME, dtype)
    params.flat[...] = np.random.default_rng(seed).normal(0, 0.5, params.flat.size)
    return params


def make_optimizer(name, size):
    return SGD(size) if name == "sgd" else Adam(size)


def probability(params, network, observation, action):
    logits = policy_outputs(params.views, network, np.asarray(observation, np.float64)[None])
    return float(np.exp(categorical.log_softmax(logits))[0, action])


def moved(algorithm, network, trajectories, optimizer, seed, dtype=np.float64, shuffle=0):
    """How far one update moves the parameters, and its figures."""
    params = random_params(network, seed, dtype)
    before = params.flat.copy()
    metrics = algorithm.update(
        params,
        make_optimizer(optimizer, before.size),
        collate(trajectories),
        RATE[optimizer],
        np.random.default_rng(shuffle),
    )
    return params.flat - before, metrics


def whole_game(rng, length, *, masked=True):
    """A game as an actor sends it: T = its length, B = 1, over at the end."""
    actions = rng.integers(0, ACTIONS, (length, 1), dtype=np.int32)
    masks = rng.random((length, 1, ACTIONS)) < 0.6
    np.put_along_axis(masks, actions[..., None], values=True, axis=2)
    rewards = rng.normal(size=(length, 1)).astype(np.float32)
    ended = np.arange(length)[:, None] == length - 1
    by_rules = bool(rng.integers(2))
    return Trajectory(
        observations=rng.normal(size=(length + 1, 1, FEATURES)).astype(np.float32),
        actions=actions,
        log_probs=np.log(rng.uniform(0.1, 0.9, (length, 1))).astype(np.float32),
        rewards=rewards,
        terminated=ended & by_rules,
        truncated=ended & (not by_rules),
        valid=np.ones((length, 1), np.bool_),
        masks=masks if masked else None,
        episodes=Episodes((float(rewards.sum()),), (length,), (0,)),
    )


def some_games(rng, most=6):
    return [whole_game(rng, int(rng.integers(1, 9))) for _ in range(int(rng.integers(2, most + 1)))]


def single_step(observation, action, reward):
    """One game of one decision, played by a policy that knew nothing."""
    one = np.ones((1, 1), np.bool_)
    return Trajectory(
        observations=np.asarray([[observation], [observation]], np.float32),
        actions=np.full((1, 1), action, np.int32),
        log_probs=np.full((1, 1), -np.log(ACTIONS), np.float32),
        rewards=np.full((1, 1), reward, np.float32),
        terminated=one,
        truncated=~one,
        valid=one,
        episodes=Episodes((float(reward),), (1,), (0,)),
    )


# Relative to the longest move. REINFORCE's advantages are float32 (and Adam divides even gradients that nearly cancel
# by their size); over 6,000 random batches the worst seen were a tenth of these or less.
ROUNDING = {
    ("reinforce", "sgd"): 2e-5,
    ("reinforce", "adam"): 2e-2,
    **{(algo, "sgd"): 1e-9 for algo in ("ppo", "impact", "vtrace")},
    **{(algo, "adam"): 1e-6 for algo in ("ppo", "impact", "vtrace")},
}


def assert_same_move(found, expected, tolerance):
    size = np.abs(expected).max()
    assert size > 1e-6, "an update that moves nothing proves nothing"
    np.testing.assert_allclose(found, expected, rtol=0, atol=size * tolerance)


# Uphill.


@each_optimizer
@quickly
@given(seeds, networks, st.integers(0, ACTIONS - 1), st.sampled_from([-1.0, 1.0]))
def test_reinforce_makes_a_good_action_likelier_and_a_bad_one_less_likely(optimizer, seed, network, action, reward):
    observation = np.random.default_rng(seed).normal(size=FEATURES)
    params = random_params(network, seed)
    before = probability(params, network, observation, action)
    algorithm = Reinforce(ReinforceConfig(baseline="none", entropy_coef=0.0), RunSpec(GAME, network))
    batch = collate([single_step(observation, action, reward)])
    algorithm.update(params, make_optimizer(optimizer, params.flat.size), batch, 1e-3, np.random.default_rng(0))
    assert (probability(params, network, observation, action) - before) * reward > 0


@each_optimizer
@quickly
@given(seeds, networks, st.permutations(range(ACTIONS)), st.sampled_from(["reinforce", "ppo"]))
def test_the_better_of_two_actions_gains_on_the_worse_one(optimizer, seed, network, actions, algo):
    """Both are tried once in one state: the baseline, or the normalisation, puts one above and the other below."""
    observation = np.random.default_rng(seed).normal(size=FEATURES)
    params = random_params(network, seed)
    if algo == "ppo":
        algorithm = PPO(PPOConfig(n_epochs=1, entropy_coef=0.0, value_coef=0.0), RunSpec(GAME, network))
    else:
        algorithm = Reinforce(ReinforceConfig(entropy_coef=0.0), RunSpec(GAME, network))
    games, before = [], []
    for action, reward in zip(actions[:2], (3.0, 1.0), strict=True):
        before.append(probability(params, network, observation, action))
        played = np.log(np.full((1, 1), before[-1], np.float32))  # on-policy: all ratios are 1
        games.append(replace(single_step(observation, action, reward), log_probs=played))
    algorithm.update(
        params, make_optimizer(optimizer, params.flat.size), collate(games), 1e-4, np.random.default_rng(0)
    )
    better, worse = (probability(params, network, observation, action) for action in actions[:2])
    assert better / worse > before[0] / before[1]


@pytest.mark.parametrize("algo", ["reinforce", "ppo"])
def test_many_updates_on_a_one_state_game_find_its_best_action(algo):
    observation, rng = np.array([0.3, -0.2, 0.5]), np.random.default_rng(1)
    network, best = SEPARATE, 2
    params = random_params(network, 2, np.float32)
    optimizer = Adam(params.flat.size)
    algorithm = (
        PPO(PPOConfig(), RunSpec(GAME, network))
        if algo == "ppo"
        else Reinforce(ReinforceConfig(), RunSpec(GAME, network))
    )
    for _ in range(60):
        log_probs = categorical.log_softmax(policy_outputs(params.views, network, observation[None].astype(np.float32)))
        actions = categorical.sample(np.repeat(log_probs, 64, axis=0), rng)
        games = [
            replace(
                single_step(observation, action, float(action == best)),
                log_probs=log_probs[:, action : action + 1].copy(),
            )
            for action in actions.tolist()
        ]
        algorithm.update(params, optimizer, collate(games), 0.01, rng)
    assert probability(params, network, observation, best) > 0.9


# However the batch was put together.


@each_optimizer
@pytest.mark.parametrize("times", [2, 3, 10])
@pytest.mark.parametrize("clip_norm", [1e9, 0.01], ids=["unclipped", "clipped"])
@quickly
@given(seeds, networks)
def test_repeating_the_games_of_a_batch_does_not_change_reinforces_update(clip_norm, times, optimizer, seed, network):
    """With a baseline of a game's own: a copy of a game would have the original's result in its baseline."""
    games = some_games(np.random.default_rng(seed))
    algorithm = Reinforce(ReinforceConfig(baseline="none", max_grad_norm=clip_norm), RunSpec(GAME, network))
    once, metrics = moved(algorithm, network, games, optimizer, seed)
    many, figures_of_many = moved(algorithm, network, games * times, optimizer, seed)
    assert_same_move(many, once, ROUNDING["reinforce", optimizer])
    assert figures_of_many["gradient_norm"] == pytest.approx(metrics["gradient_norm"], rel=1e-4)
    assert figures_of_many["policy_loss"] == pytest.approx(metrics["policy_loss"], rel=1e-4, abs=1e-5)
    assert figures_of_many["effective_rate"] == pytest.approx(metrics["effective_rate"] / times)


@each_optimizer
def test_ten_equal_games_give_the_same_update_as_one(optimizer):
    game = whole_game(np.random.default_rng(3), 7)
    batch = collate([game] * 10)
    assert (batch.games, batch.steps) == (10, 70)
    algorithm = Reinforce(ReinforceConfig(baseline="none"), RunSpec(GAME, SEPARATE))
    one, _ = moved(algorithm, SEPARATE, [game], optimizer, 4, np.float32)
    ten, _ = moved(algorithm, SEPARATE, [game] * 10, optimizer, 4, np.float32)
    assert_same_move(ten, one, 1e-4 if optimizer == "sgd" else 2e-2)  # all of it in float32, as in a run


@each_optimizer
@quickly
@given(seeds, networks, st.randoms(use_true_random=False))
def test_the_order_of_the_games_changes_nothing_for_reinforce(optimizer, seed, network, order):
    games = some_games(np.random.default_rng(seed))
    shuffled = order.sample(games, len(games))
    algorithm = Reinforce(ReinforceConfig(), RunSpec(GAME, network))
    expected, _ = moved(algorithm, network, games, optimizer, seed)
    found, _ = moved(algorithm, network, shuffled, optimizer, seed)
    assert_same_move(found, expected, ROUNDING["reinforce", optimizer])


IN_MINIBATCHES = {"ppo": (PPO, PPOConfig), "impact": (Impact, ImpactConfig), "vtrace": (Impala, VTraceConfig)}
each_algorithm = pytest.mark.parametrize("algo", IN_MINIBATCHES)


def one_minibatch(algo, network, **settings_):
    algorithm, config = IN_MINIBATCHES[algo]
    return algorithm(config(n_epochs=1, minibatch_size=10**6, **settings_), RunSpec(GAME, network))


@each_algorithm
@each_optimizer
@pytest.mark.parametrize("times", [2, 3, 10])
@pytest.mark.parametrize("clip_norm", [1e9, 0.01], ids=["unclipped", "clipped"])
@quickly
@given(seeds, networks)
def test_repeating_the_columns_of_a_batch_does_not_change_the_update(clip_norm, times, optimizer, algo, seed, network):
    games = some_games(np.random.default_rng(seed))
    once, metrics = moved(
        one_minibatch(algo, network, max_grad_norm=clip_norm), network, games, optimizer, seed, shuffle=1
    )
    many, figures_of_many = moved(
        one_minibatch(algo, network, max_grad_norm=clip_norm), network, games * times, optimizer, seed, shuffle=2
    )
    assert_same_move(many, once, ROUNDING[algo, optimizer])
    assert figures_of_many == pytest.approx(metrics, rel=1e-5, abs=1e-6)


@each_algorithm
@each_optimizer
@quickly
@given(seeds, networks, st.randoms(use_true_random=False))
def test_the_order_of_the_columns_changes_nothing(optimizer, algo, seed, network, order):
    games = some_games(np.random.default_rng(seed))
    shuffled = order.sample(games, len(games))
    expected, _ = moved(one_minibatch(algo, network), network, games, optimizer, seed, shuffle=1)
    found, _ = moved(one_minibatch(algo, network), network, shuffled, optimizer, seed, shuffle=2)
    assert_same_move(found, expected, ROUNDING[algo, optimizer])


# Padding.


def extended(game, by):
    """The same game with more padding behind it than `collate` would have put there, and garbage in that."""
    rng = np.random.default_rng(by)

    def pad(array, fill):
        return np.concatenate([array, np.broadcast_to(fill, (by, *array.shape[1:])).astype(array.dtype)])

    return replace(
        game,
        observations=pad(game.observations, rng.normal(size=FEATURES) * 9),
        actions=pad(game.actions, ACTIONS - 1),
        log_probs=pad(game.log_probs, -9.0),
        rewards=pad(game.rewards, 99.0),
        terminated=pad(game.terminated, fill=False),
        truncated=pad(game.truncated, fill=False),
        valid=pad(game.valid, fill=False),
        masks=None if game.masks is None else pad(game.masks, fill=True),
    )


@each_optimizer
@pytest.mark.parametrize("algo", ["reinforce", *IN_MINIBATCHES])
@quickly
@given(seeds, networks, st.integers(1, 20), st.booleans())
def test_the_content_of_padding_does_not_change_the_update(algo, optimizer, seed, network, by, masked):
    rng = np.random.default_rng(seed)
    games = [whole_game(rng, length, masked=masked) for length in (3, 5, 1)]

    def fresh():
        if algo in IN_MINIBATCHES:
            return one_minibatch(algo, network)
        return Reinforce(ReinforceConfig(), RunSpec(GAME, network))

    expected, _ = moved(fresh(), network, games, optimizer, seed)
    found, _ = moved(fresh(), network, [extended(games[0], by), *games[1:]], optimizer, seed)
    assert_same_move(found, expected, ROUNDING[algo, optimizer])


@each_optimizer
@quickly
@given(seeds, networks)
def test_the_update_of_games_of_different_lengths_is_the_mean_of_their_single_updates(optimizer, seed, network):
    """REINFORCE's gradient is a mean over games, so a padded batch moves SGD by the mean of the games' own moves.

    In the unit of the rewards: the deviation of a batch's returns is not that of each of its games.
    """
    rng = np.random.default_rng(seed)
    games = [whole_game(rng, length) for length in (1, 4, 9)]
    algorithm = Reinforce(ReinforceConfig(baseline="none", max_grad_norm=1e9, popart=0.0), RunSpec(GAME, network))
    together, metrics = moved(algorithm, network, games, optimizer, seed)
    alone = [moved(algorithm, network, [game], optimizer, seed) for game in games]
    assert metrics["policy_loss"] == pytest.approx(np.mean([f["policy_loss"] for _, f in alone]), rel=1e-4, abs=1e-5)
    if optimizer == "sgd":
        assert_same_move(together, np.mean([move for move, _ in alone], axis=0), ROUNDING["reinforce", optimizer])


def test_collate_puts_columns_side_by_side_and_pads_them_with_steps_that_do_not_count():
    rng = np.random.default_rng(6)
    short, long = whole_game(rng, 2), whole_game(rng, 5)
    batch = collate([short, long])
    assert batch.valid.T.tolist() == [[True] * 2 + [False] * 3, [True] * 5]
    assert (batch.games, batch.steps) == (2, 7)
    for name in ("observations", "actions", "log_probs", "rewards", "terminated", "truncated", "masks"):
        array = getattr(batch, name)
        for column, game in enumerate((short, long)):
            whole = getattr(game, name)
            np.testing.assert_array_equal(array[: len(whole), column], whole[:, 0], err_msg=name)
    assert batch.observations.shape == (6, 2, FEATURES)
    assert batch.masks.any(axis=2).all()  # padding or not: each row has a distribution


def test_collate_lays_observations_flat():
    game = whole_game(np.random.default_rng(7), 3)
    square = replace(game, observations=np.arange(4 * 6, dtype=np.float32).reshape(4, 1, 2, 3))
    assert collate([square]).observations.tolist() == np.arange(24.0).reshape(4, 1, 6).tolist()


# Hostile numbers.


def all_at(value):
    return lambda array: np.full_like(array, value)


def alternating(value):
    return lambda array: np.where(np.arange(array.size).reshape(array.shape) % 2, value, -value).astype(array.dtype)


EXTREMES = [
    pytest.param("ppo", "log_probs", all_at(-50.0), id="ppo-likelier by e^50"),
    pytest.param("ppo", "log_probs", all_at(-100.0), id="ppo-likelier by e^100"),
    pytest.param("ppo", "rewards", alternating(1e9), id="ppo-rewards of 1e9"),
    pytest.param("ppo", "rewards", all_at(3e38), id="ppo-rewards of 3e38"),
    pytest.param("ppo", "observations", alternating(3e38), id="ppo-observations of 3e38"),
    pytest.param("reinforce", "log_probs", all_at(-50.0), id="reinforce-likelier by e^50"),
    pytest.param("reinforce", "log_probs", all_at(-3e38), id="reinforce-likelier by far"),
    pytest.param("reinforce", "rewards", alternating(1e9), id="reinforce-rewards of 1e9"),
    pytest.param("reinforce", "rewards", all_at(3e38), id="reinforce-rewards of 3e38"),
    pytest.param("reinforce", "observations", alternating(3e38), id="reinforce-observations of 3e38"),
]


@pytest.mark.parametrize(("algo", "field", "change"), EXTREMES)
def test_no_valid_trajectory_makes_the_weights_not_finite(algo, field, change):
    spec = RunSpec(GAME)
    rng = np.random.default_rng(8)
    game = whole_game(rng, 9, masked=False)
    hostile = replace(game, **{field: change(getattr(game, field))})
    try:
        taken = decode_trajectory(encode_trajectory(hostile, "a", spec), make_header(1, 1, 9, 1, 1), "a", spec)
    except WireError:
        return  # refused: as good
    algorithm = (
        PPO(PPOConfig(), RunSpec(GAME, SEPARATE))
        if algo == "ppo"
        else Reinforce(ReinforceConfig(), RunSpec(GAME, SEPARATE))
    )
    with np.errstate(all="ignore"):  # what counts is the outcome
        try:
            move, _ = moved(algorithm, SEPARATE, [taken, whole_game(rng, 9, masked=False)], "adam", 9, np.float32)
        except NonFinite:
            return  # said so: the trainer takes it back
    assert np.isfinite(move).all()
