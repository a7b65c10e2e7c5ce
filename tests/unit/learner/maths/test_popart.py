"""PopArt: the statistics move, the values stay."""

import numpy as np
import pytest

from broodmind.common.actions import Discrete
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import GameSpec, NetworkSpec
from broodmind.learner.algorithms.batch_predictions import state_values
from broodmind.learner.maths.flat_parameters import Parameters
from broodmind.learner.maths.popart import ValueScale

GAME = GameSpec("scaled", (3,), Discrete(2))
NETWORKS = [NetworkSpec((8, 6)), NetworkSpec((8, 6), shared=True)]
separate_and_shared = pytest.mark.parametrize("network", NETWORKS, ids=["separate", "shared"])
TARGETS = {
    "near": lambda rng: rng.normal(0.3, 1.2, 64),
    "far": lambda rng: rng.normal(-40, 3, 64),
    "wide": lambda rng: rng.normal(5, 1000, 64),
    "narrow": lambda rng: rng.normal(2, 0.01, 64),
    "all the same": lambda _: np.full(64, 7.0),
    "one": lambda rng: rng.normal(0, 1, 1),
}


def a_network(network, seed):
    params = Parameters.of(initial_params(network, GAME, np.random.default_rng(seed)), network, GAME)
    head = 0 if network.shared else len(network.hidden)
    params.views[f"value/w{head}"][...] = np.random.default_rng(seed + 2).normal(0, 0.4, (network.hidden[-1], 1))
    params.views[f"value/b{head}"][...] = 0.7
    observations = np.random.default_rng(seed + 1).normal(size=(10, 20, 3)).astype(np.float32)
    return params, observations


@separate_and_shared
@pytest.mark.parametrize("targets", TARGETS)
def test_values_do_not_change_when_the_statistics_are_updated(targets, network):
    params, observations = a_network(network, 1)
    scale, rng = ValueScale(0.2), np.random.default_rng(3)
    for _ in range(6):
        before = scale.values(state_values(params.views, network, observations))
        statistics = (scale.mean, scale.deviation)
        scale.update(TARGETS[targets](rng).astype(np.float32), params.views)
        after = scale.values(state_values(params.views, network, observations))
        # Single precision: of the values, and of the mean that is taken off and put on again.
        size = max(np.abs(before).max(), abs(statistics[0]), abs(scale.mean))
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * size)
        if targets != "all the same":
            assert (scale.mean, scale.deviation) != statistics
    assert np.abs(before).max() > 0.1


@separate_and_shared
def test_only_the_last_layer_of_the_value_function_is_changed(network):
    params, _ = a_network(network, 4)
    before = params.copy()
    ValueScale(0.5).update(np.array([3.0, 9.0], np.float32), params.views)
    head = {"value/w0", "value/b0"} if network.shared else {"value/w2", "value/b2"}
    changed = {name for name, view in params.views.items() if (view != before.views[name]).any()}
    assert changed == head


def test_the_last_layer_is_found_by_its_number_and_not_by_the_alphabet():
    network = NetworkSpec((2,) * 11)  # value/w9 and value/w10
    params, observations = a_network(network, 5)
    scale = ValueScale(0.5)
    before = scale.values(state_values(params.views, network, observations))
    inside = params.views["value/w9"].copy()
    scale.update(np.array([3.0, 9.0], np.float32), params.views)
    assert (params.views["value/w9"] == inside).all()
    after = scale.values(state_values(params.views, network, observations))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-4)


@pytest.mark.parametrize("beta", [0.05, 0.5, 1.0])
def test_the_statistics_are_moving_averages_with_their_bias_from_the_start_corrected(beta):
    """By the definition: each update's moments weighted by (1 - beta)^age, the weights normalised to 1."""
    params, _ = a_network(NETWORKS[0], 7)
    scale, rng, seen = ValueScale(beta), np.random.default_rng(8), []
    for number in range(12):
        targets = rng.normal(number, 2 + number, 50)
        seen.append((targets.mean(), (targets**2).mean()))
        scale.update(targets, params.views)
        weights = (1 - beta) ** np.arange(len(seen))[::-1].astype(float)
        mean, square = (weights / weights.sum()) @ np.array(seen)
        assert scale.mean == pytest.approx(mean, rel=1e-9)
        assert scale.deviation == pytest.approx(np.sqrt(square - mean**2), rel=1e-9)


def test_after_the_first_update_the_targets_are_normalised():
    params, _ = a_network(NETWORKS[0], 9)
    scale, targets = ValueScale(0.01), np.random.default_rng(10).normal(50, 7, 1000).astype(np.float32)
    scale.update(targets, params.views)
    normalised = scale.normalise(targets)
    assert normalised.dtype == np.float32
    assert normalised.mean() == pytest.approx(0, abs=1e-4)
    assert normalised.std() == pytest.approx(1, rel=1e-4)


def test_values_and_normalise_are_each_others_inverse():
    params, _ = a_network(NETWORKS[0], 11)
    scale = ValueScale(0.1)
    scale.update(np.array([-100.0, 250.0, 30.0], np.float32), params.views)
    targets = np.linspace(-500, 500, 11, dtype=np.float32)
    np.testing.assert_allclose(scale.values(scale.normalise(targets)), targets, rtol=1e-5, atol=1e-4)
    outputs = np.linspace(-30, 30, 11, dtype=np.float32)
    np.testing.assert_allclose(scale.normalise(scale.values(outputs)), outputs, rtol=1e-5, atol=1e-4)
    assert scale.values(np.array([0.0, 1.0])).tolist() == pytest.approx([scale.mean, scale.mean + scale.deviation])


def test_with_beta_0_nothing_is_scaled():
    params, _ = a_network(NETWORKS[0], 12)
    before, scale = params.flat.tobytes(), ValueScale(0.0)
    scale.update(np.array([1e6, -3.0], np.float32), params.views)
    assert params.flat.tobytes() == before
    assert (scale.mean, scale.deviation) == (0.0, 1.0)
    numbers = np.array([-2.5, 0.0, 1e5], np.float32)
    assert scale.values(numbers).tolist() == scale.normalise(numbers).tolist() == numbers.tolist()


def test_before_the_first_update_nothing_is_scaled():
    scale = ValueScale(0.5)
    assert (scale.mean, scale.deviation) == (0.0, 1.0)


def test_constant_targets_do_not_cause_a_division_by_zero():
    params, _ = a_network(NETWORKS[0], 13)
    scale = ValueScale(0.5)
    for _ in range(3):
        scale.update(np.full(9, 3.0, np.float32), params.views)
    assert scale.deviation == 3.0  # their size
    assert np.isfinite(params.flat).all()
    np.testing.assert_allclose(scale.normalise(np.full(2, 3.0, np.float32)), 0, atol=1e-2)


def test_a_restored_scale_continues_bit_for_bit_and_shares_no_memory():
    params, _ = a_network(NETWORKS[0], 14)
    scale, successor, rng = ValueScale(0.1), ValueScale(0.1), np.random.default_rng(15)
    first, second = rng.normal(3, 2, (2, 40)).astype(np.float32)
    scale.update(first, params.views)
    successor.update(second, params.copy().views)
    state, twin = scale.state(), params.copy()
    kept = {name: value.copy() for name, value in state.items()}
    scale.update(second, params.views)
    successor.restore(state)
    successor.update(second, twin.views)
    for name, value in state.items():
        np.testing.assert_array_equal(value, kept[name], err_msg=name)
    assert (successor.mean, successor.deviation) == (scale.mean, scale.deviation)
    assert twin.flat.tobytes() == params.flat.tobytes()


def batches_of(scale, targets, times, seed=16):
    """Updates with 2048 targets each, `targets(rng)`. Returns the deviation after each."""
    params, _ = a_network(NETWORKS[0], 17)
    rng, found = np.random.default_rng(seed), []
    for _ in range(times):
        scale.update(targets(rng).astype(np.float32), params.views)
        found.append(scale.deviation)
    return found


def usual(rng):
    return rng.normal(5, 2, 2048)


def with_a_bad_reward(rng, size=1e9):
    """GAE puts a reward into the targets of the steps before it, each less by the factor 0.94."""
    targets = usual(rng)
    targets[1000:1100] += size * 0.94 ** np.arange(100)[::-1]
    return targets


@pytest.mark.parametrize("size", [1e3, 1e9, -1e9])
@pytest.mark.parametrize("before", [0, 1, 5, 50], ids=lambda before: f"after {before}")
def test_a_bad_reward_does_not_flatten_the_values(before, size):
    """Unclipped, the deviation is 10^7 for hundreds of updates, also where the first batch has the bad reward."""
    scale = ValueScale(0.03)
    batches_of(scale, usual, before)
    (after,) = batches_of(scale, lambda rng: with_a_bad_reward(rng, size), 1)
    assert after < 2 * 10
    assert 1.9 < batches_of(scale, usual, 100)[-1] < 2.3


def test_a_bad_target_is_trained_on_as_one_of_thirty_deviations():
    scale = ValueScale(0.03)
    batches_of(scale, usual, 20)
    low, middle, high = scale.normalise(np.array([-1e9, scale.mean, 1e9], np.float32))
    assert (low, high) == (-30, 30)
    assert middle == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e8])
def test_the_scale_of_the_rewards_makes_no_difference(factor):
    """The bad reward's size neither: it is clipped in deviations."""
    scale, unit = ValueScale(0.03), ValueScale(0.03)
    found = [
        batches_of(each, lambda rng, by=by: by * 1e4 * with_a_bad_reward(rng), 8)
        + batches_of(each, lambda rng, by=by: by * 1e4 * usual(rng), 20)
        for each, by in ((scale, factor), (unit, 1.0))
    ]
    np.testing.assert_allclose(found[0], np.array(found[1]) * factor, rtol=1e-4)


@pytest.mark.parametrize("factor", [1e3, 1e6])
@pytest.mark.parametrize("share", [1.0, 0.02], ids=["all", "one in fifty"])
def test_targets_that_grow_are_followed_within_a_hundred_updates(factor, share):
    """Also where only one target in fifty grows, as in a game in which reward is rare: those are not clipped away."""

    def grown(rng):
        return np.where(rng.random(2048) < share, factor * rng.normal(5, 2, 2048), usual(rng))

    scale = ValueScale(0.03)
    batches_of(scale, usual, 50)
    expected = grown(np.random.default_rng(0)).std()
    assert batches_of(scale, grown, 100)[-1] > 0.5 * expected


def test_a_scale_that_forgets_keeps_its_values_until_the_next_batch_replaces_it():
    params, observations = a_network(NETWORKS[0], 18)
    scale = ValueScale(0.01)
    scale.restore({"moments": np.array([1e5, 1e14]), "weight": np.ones(1)})  # a bad reward was in them
    before = scale.values(state_values(params.views, NETWORKS[0], observations))
    statistics = (scale.mean, scale.deviation)
    scale.forget()
    assert (scale.mean, scale.deviation) == statistics
    targets = usual(np.random.default_rng(19)).astype(np.float32)
    scale.update(targets, params.views)
    assert (scale.mean, scale.deviation) == pytest.approx((targets.mean(), targets.std()), rel=1e-5)
    after = scale.values(state_values(params.views, NETWORKS[0], observations))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-5 * np.abs(before).max())


# In any unit.


@separate_and_shared
def test_a_value_function_that_knows_nothing_begins_with_the_mean_of_the_targets(network):
    params = Parameters.of(initial_params(network, GAME, np.random.default_rng(20)), network, GAME)
    observations = np.random.default_rng(21).normal(size=(5, 4, 3)).astype(np.float32)
    scale = ValueScale(0.03)
    assert not scale.values(state_values(params.views, network, observations)).any()
    for mean in (1000.0, 3000.0):  # the second batch finds the same head, to which nothing was taught in between
        scale.update(np.random.default_rng(22).normal(mean, 1.0, 500).astype(np.float32), params.views)
        values = scale.values(state_values(params.views, network, observations))
        np.testing.assert_allclose(values, scale.mean, rtol=1e-6)
    assert 1000 < scale.mean < 3000


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_a_narrow_spread_of_far_targets_is_seen_and_mere_rounding_is_not(unit):
    rng, params = np.random.default_rng(23), a_network(NETWORKS[0], 23)[0]
    scale, rounded = ValueScale(0.03), ValueScale(0.03)
    scale.update(unit * rng.normal(1000, 0.1, 5000), params.views)
    assert scale.deviation == pytest.approx(0.1 * unit, rel=0.05)
    rounded.update(np.float32(unit) * (1 + 1e-7 * rng.normal(size=5000)).astype(np.float32), params.views)
    assert rounded.deviation == pytest.approx(unit, rel=1e-3)


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e6])
def test_the_first_reward_after_a_long_time_without_any_is_not_clipped(unit):
    scale = ValueScale(0.03)
    batches_of(scale, lambda _: np.zeros(2048), 50)
    assert (scale.mean, scale.deviation) == (0.0, 1.0)
    rare = unit * (np.random.default_rng(24).random(2048) < 0.01)
    found = batches_of(scale, lambda _: rare, 1)[-1]
    # By the definition: a 26th of what was seen, after 50 batches of nothing, is this batch.
    share = 0.03 / (1 - 0.97**51)
    assert found == pytest.approx(np.sqrt(share * np.square(rare).mean() - (share * rare.mean()) ** 2), rel=1e-6)
