"""Running moments against numpy over everything that was ever seen, however it came."""

import numpy as np
import pytest

from broodmind.learner.maths.running_moments import Moments

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
