"""Running moments: against numpy over all rows while these are few; what bad numbers and moving games do to them."""

import numpy as np
import pytest

from broodmind.common.policy.network import MEAN, NORMALISED_MAX, SCALE, prepare
from broodmind.learner.maths.running_moments import COUNT_MAX, Moments

WIDTH = 4


def parts_of(seed, sizes):
    """Rows in parts; the columns are of different sizes, one is far from zero and one never varies."""
    rng = np.random.default_rng(seed)
    rows = rng.normal([0.0, 5.0, 1e4, 3.0], [1.0, 100.0, 0.5, 0.0], (sum(sizes), WIDTH))
    return rows, np.split(rows, np.cumsum(sizes)[:-1])


def seen(parts):
    moments = Moments(WIDTH)
    for part in parts:
        moments.update(part)
    return moments


@pytest.mark.parametrize("sizes", [(50,), (1, 1, 1), (3, 40, 7), (1, 100, 1, 2), (5,) * 30, (0, 4, 0, 6)])
def test_the_moments_of_parts_are_those_of_the_whole(sizes):
    rows, parts = parts_of(1, sizes)
    moments = seen(parts)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12)
    expected = rows.std(axis=0)
    expected[3] = 1.0  # what never varied is left as it is
    np.testing.assert_allclose(moments.deviation, expected, rtol=1e-9)


def test_the_order_of_the_parts_changes_nothing_but_rounding():
    _, parts = parts_of(2, (1, 30, 7, 300))
    forwards, backwards = seen(parts), seen(parts[::-1])
    np.testing.assert_allclose(forwards.mean, backwards.mean, rtol=1e-13)
    np.testing.assert_allclose(forwards.deviation, backwards.deviation, rtol=1e-10)


def test_a_mean_far_from_zero_loses_no_precision():
    """The sum of squares minus the square of the sum would have none left here."""
    rng = np.random.default_rng(3)
    rows = 1e9 + rng.normal(size=(1000, WIDTH))
    np.testing.assert_allclose(seen(np.split(rows, 10)).deviation, (rows - 1e9).std(axis=0), rtol=1e-6)


def test_single_precision_rows_are_summed_in_double():
    rows = np.full((10_000, WIDTH), 0.1, np.float32)
    rows[::2] += 1000
    moments = seen(np.split(rows, 100))
    np.testing.assert_allclose(moments.mean, rows.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.deviation, 500, rtol=1e-6)


@pytest.mark.parametrize("rows", [0, 1])
def test_before_there_are_two_rows_nothing_is_scaled(rows):
    moments = seen([np.full((rows, WIDTH), 7.0)])
    assert moments.mean.tolist() == [7.0 * rows] * WIDTH
    assert moments.deviation.tolist() == [1.0] * WIDTH


def test_two_rows_are_enough_for_a_deviation():
    assert seen([np.array([[1.0] * WIDTH, [4.0] * WIDTH])]).deviation.tolist() == [1.5] * WIDTH


def test_no_rows_change_nothing():
    moments = seen(parts_of(4, (20,))[1])
    before = moments.state()
    moments.update(np.zeros((0, WIDTH)))
    assert {name: value.tobytes() for name, value in before.items()} == {
        name: value.tobytes() for name, value in moments.state().items()
    }


def test_the_rows_are_left_as_they_were():
    rows, parts = parts_of(5, (20,))
    seen(parts)
    np.testing.assert_array_equal(parts[0], parts_of(5, (20,))[0])
    assert parts[0].base is rows.base or parts[0].base is rows


def test_restored_moments_continue_bit_for_bit_and_share_no_memory():
    _, parts = parts_of(6, (10, 20, 30))
    moments, successor = seen(parts[:1]), seen([np.full((5, WIDTH), 3.0)])  # which has had a life of its own
    state = moments.state()
    kept = {name: value.copy() for name, value in state.items()}
    moments.update(parts[1])
    for name, value in state.items():
        np.testing.assert_array_equal(value, kept[name], err_msg=f"{name}: the state is no copy")
    successor.restore(state)
    successor.update(parts[1])
    for name, value in state.items():
        np.testing.assert_array_equal(value, kept[name], err_msg=f"{name}: restore kept a hand on it")
    moments.update(parts[2])
    successor.update(parts[2])
    assert successor.mean.tobytes() == moments.mean.tobytes()
    assert successor.deviation.tobytes() == moments.deviation.tobytes()


BATCH = 2048


def normal(rng, size=1.0, level=0.0):
    return (level + size * rng.normal(size=(BATCH, 1))).astype(np.float32)


def fed(moments, rows_of, batches, seed=7):
    """Update with `rows_of(rng)`, so many times."""
    rng = np.random.default_rng(seed)
    for _ in range(batches):
        moments.update(rows_of(rng))
    return moments


def rows_until(moments, rows_of, holds, seed=8):
    """After how many rows `holds()` for the first time."""
    rng = np.random.default_rng(seed)
    for number in range(1, 1000):
        moments.update(rows_of(rng))
        if holds():
            return number * BATCH
    raise AssertionError("not after two million rows")


def with_bad(rng, bad, value=1e6):
    """A batch of which the first `bad` rows have this value, as an entry of an actor whose game is broken."""
    rows = normal(rng)
    rows[:bad] = value
    return rows


@pytest.mark.parametrize("value", [1e6, -1e6, 3e38])
@pytest.mark.parametrize(
    ("before", "bad", "factor"),
    [(10, 128, 1.05), (10, 1024, 1.05), (100, 128, 1.05), (600, 1024, 1.05), (600, 2048, 2.0)],
)
def test_bad_rows_hardly_change_moments_that_are_warm(before, bad, factor, value):
    """Unclipped, the deviation would be a hundred thousand. Only bad rows that are the majority widen it."""
    moments = fed(Moments(1), normal, before)
    fed(moments, lambda rng: with_bad(rng, bad, value), 1)
    assert 0.98 < moments.deviation[0] < factor
    assert abs(moments.mean[0]) < (0.15 if bad < BATCH else 0.3)


@pytest.mark.parametrize("bad", [1, 128, 900])
def test_bad_rows_in_the_first_batch_are_clipped_by_its_median(bad):
    moments = fed(Moments(1), lambda rng: with_bad(rng, bad), 1)
    assert moments.deviation[0] < 2 * NORMALISED_MAX
    assert rows_until(moments, normal, lambda: moments.deviation[0] < 3) < 50_000


@pytest.mark.parametrize("bad", [1, 16])
def test_bad_rows_in_a_first_batch_too_small_for_a_median_are_forgotten(bad):
    """After 230,000 rows the deviation is at most three times too large."""
    moments = Moments(1)
    moments.update(np.full((bad, 1), 1e6))
    moments.update(normal(np.random.default_rng(9))[:16])
    assert moments.deviation[0] > 1e5
    assert rows_until(moments, normal, lambda: moments.deviation[0] < 3.1 and abs(moments.mean[0]) < 1) < 230_000


def test_moments_that_an_earlier_version_stored_with_bad_rows_in_them_recover():
    """Of all rows, as they were kept before: a hundred thousand, 128 of them of 1e6."""
    rows = np.random.default_rng(10).normal(size=(100_000, 1))
    rows[:128] = 1e6
    moments = Moments(1)
    stored = {
        "count": np.array([1e5]),
        "mean": rows.mean(axis=0),
        "m2": np.square(rows - rows.mean(axis=0)).sum(axis=0),
    }
    moments.restore(stored)
    assert moments.deviation[0] > 30_000
    assert rows_until(moments, normal, lambda: moments.deviation[0] < 3.1 and abs(moments.mean[0]) < 1) < 230_000


def test_the_moments_of_more_rows_than_count_are_still_restored():
    stored = {"count": np.array([1e9]), "mean": np.array([3.0]), "m2": np.array([4e9])}
    moments = Moments(1)
    moments.restore(stored)
    assert (moments.mean[0], moments.deviation[0]) == (3.0, 2.0)
    fed(moments, lambda rng: normal(rng, 2.0, 3.0), 1)
    assert moments.deviation[0] == pytest.approx(2.0, rel=1e-3)
    assert moments.state()["count"][0] == COUNT_MAX


@pytest.mark.parametrize("level", [1e2, 1e4, 1e6, -1e6])
@pytest.mark.parametrize("before", [50, 600])
def test_a_feature_whose_level_moves_is_followed(before, level):
    """Within 100,000 rows it is inside the clip, where the network sees it vary; within a million, a deviation away."""
    moments = fed(Moments(1), normal, before)

    def distance():
        return abs(level - moments.mean[0]) / moments.deviation[0]

    def moved(rng):
        return normal(rng, level=level)

    assert rows_until(moments, moved, lambda: distance() < NORMALISED_MAX) < 100_000
    assert rows_until(moments, moved, lambda: distance() < 1) < 1_000_000


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e2, 1e4, 1e6])
@pytest.mark.parametrize("before", [50, 600])
def test_a_feature_that_was_constant_and_begins_to_vary_is_followed(before, size):
    """Within 150,000 rows it is hardly ever at the clip."""
    moments = fed(Moments(1), lambda _: np.full((BATCH, 1), 5.0, np.float32), before)
    assert moments.deviation[0] == 1.0
    found = rows_until(moments, lambda rng: normal(rng, size, 5.0), lambda: size / 4 < moments.deviation[0] < 4 * size)
    assert found < 150_000


@pytest.mark.parametrize("size", [1e2, 1e6])
def test_a_feature_that_varies_less_than_it_did_is_followed(size):
    moments = fed(Moments(1), lambda rng: normal(rng, size), 600)
    assert rows_until(moments, normal, lambda: moments.deviation[0] < 3.1) < 300_000


@pytest.mark.parametrize("share", [1e-2, 1e-3, 1e-4])
def test_a_rare_event_stays_visible(share):
    """A number that is 0, and now and then 1: the network is given at least its 1, and never the same for both."""
    moments = fed(Moments(1), lambda rng: (rng.random((BATCH, 1)) < share).astype(np.float32), 500)
    never, then = inputs(moments, [0.0, 1.0])
    assert then - never >= 1


def inputs(moments, values):
    """What the network is given for the values of a single feature."""
    params = {MEAN: moments.mean.astype(np.float32), SCALE: (1 / moments.deviation).astype(np.float32)}
    return prepare(params, np.array(values, np.float32)[:, None])[:, 0].tolist()


def test_old_rows_are_forgotten():
    """A drift by less than the clip: after COUNT_MAX rows the weight of what was before is 1 / e."""
    moments = fed(Moments(1), normal, 600)
    fed(moments, lambda rng: normal(rng, level=5.0), COUNT_MAX // BATCH)
    assert moments.mean[0] == pytest.approx(5 * (1 - np.exp(-1)), rel=0.01)


def test_it_is_told_to_which_range_rows_were_clipped():
    moments = fed(Moments(2), lambda rng: rng.normal([0, 100], [1, 10], (BATCH, 2)), 5)
    assert moments.update(np.array([[1.0, 90.0], [2.0, 110.0]])) is None
    reach = NORMALISED_MAX * moments.deviation
    expected = (moments.mean - reach, moments.mean + reach)
    np.testing.assert_array_equal(moments.update(np.array([[1.0, 90.0], [2.0, 1e6]])), expected)


def test_moments_that_forget_are_the_same_until_the_next_batch_replaces_them():
    moments = fed(Moments(1), lambda rng: normal(rng, 1e6, 1e5), 600)
    mean, deviation = moments.mean.copy(), moments.deviation
    moments.forget()
    assert (moments.mean, moments.deviation) == (mean, pytest.approx(deviation, rel=1e-12))
    rows = normal(np.random.default_rng(11))
    moments.update(rows)
    assert moments.mean[0] == pytest.approx(rows.mean(dtype=np.float64), abs=1e-12)
    assert moments.deviation[0] == pytest.approx(rows.std(dtype=np.float64), rel=1e-9)


def test_moments_that_have_seen_nothing_have_nothing_to_forget():
    moments = Moments(2)
    moments.forget()
    assert (moments.mean.tolist(), moments.deviation.tolist()) == ([0, 0], [1, 1])
