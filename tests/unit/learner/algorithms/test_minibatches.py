"""Rows: the valid steps of a batch, and sweeps over all of them."""

import numpy as np
import pytest

from broodmind.learner.algorithms.batch import Batch
from broodmind.learner.algorithms.minibatches import Minibatch, minibatch_of, run_epochs


def numbered(count, *, masked=True):
    """Rows in which every field says which row it is."""
    number = np.arange(count)
    return Minibatch(
        observations=np.stack([number, number], axis=1).astype(np.float32),
        actions=number.astype(np.int32),
        log_probs=-number.astype(np.float32),
        advantages=number + 0.25,
        targets=number + 0.5,
        masks=(number[:, None] >> np.arange(10)) & 1 == 1 if masked else None,
    )


def assert_whole(rows):
    """All fields of each row are still those of the same row."""
    number = rows.actions
    np.testing.assert_array_equal(rows.observations, np.stack([number, number], axis=1))
    np.testing.assert_array_equal(rows.log_probs, -number)
    np.testing.assert_array_equal(rows.advantages, number + 0.25)
    np.testing.assert_array_equal(rows.targets, number + 0.5)
    if rows.masks is not None:
        np.testing.assert_array_equal(rows.masks @ (1 << np.arange(10)), number)


def swept(rows, epochs, minibatch, seed=0):
    parts = []

    def step(part):
        parts.append(part)
        return {"size": float(len(part)), "number": float(len(parts))}

    return parts, run_epochs(rows, epochs, minibatch, np.random.default_rng(seed), step)


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize(
    ("count", "minibatch"), [(1, 1), (1, 256), (10, 3), (100, 7), (256, 256), (1000, 64), (7, 100)]
)
def test_every_row_is_used_exactly_once_in_an_epoch(count, minibatch, epochs):
    parts, _ = swept(numbered(count), epochs, minibatch)
    assert len(parts) % epochs == 0
    each = len(parts) // epochs
    for epoch in range(epochs):
        here = parts[epoch * each : (epoch + 1) * each]
        assert sorted(np.concatenate([part.actions for part in here]).tolist()) == list(range(count))
    for part in parts:
        assert_whole(part)


def test_the_parts_are_equal_but_for_one_row_and_near_the_size_asked_for():
    for count in range(1, 400):
        for minibatch in (1, 7, 64, 256):
            sizes = [len(part) for part in swept(numbered(count), 1, minibatch)[0]]
            assert max(sizes) - min(sizes) <= 1, (count, minibatch)
            assert min(sizes) >= 1
            assert len(sizes) == max(1, round(count / minibatch)), (count, minibatch)
            assert len(sizes) == 1 or 2 / 3 * minibatch - 1 <= min(sizes) <= max(sizes) <= 4 / 3 * minibatch + 1


def test_each_epoch_has_its_own_order_drawn_from_the_generator():
    def orders(seed):
        return [part.actions.tolist() for part in swept(numbered(50), 3, 50, seed)[0]]

    first, second, third = orders(1)
    assert first != second != third != first
    assert first != list(range(50))
    assert orders(1) == [first, second, third]
    assert orders(2) != [first, second, third]


def test_metrics_are_means_over_the_steps():
    _, metrics = swept(numbered(10), 2, 5)
    assert metrics == {"size": 5.0, "number": (1 + 2 + 3 + 4) / 4}


def test_a_selection_keeps_each_rows_fields_together_with_and_without_masks():
    for masked in (True, False):
        rows = numbered(9, masked=masked)
        picked = rows[np.array([7, 0, 3])]
        assert picked.actions.tolist() == [7, 0, 3]
        assert (len(picked), len(rows[2:4]), len(rows)) == (3, 2, 9)
        assert (picked.masks is None) is not masked
        assert_whole(picked)
        assert_whole(rows[2:4])


@pytest.mark.parametrize("dims", [(), (2,)], ids=["one choice", "several"])
def test_the_rows_of_a_batch_are_its_valid_steps_with_the_observation_before_each(dims):
    valid = np.array([[True, False], [False, True], [True, True]])
    number = np.arange(6).reshape(3, 2)
    observations = np.arange(8.0).reshape(4, 2, 1)
    no = np.zeros((3, 2), np.bool_)
    actions = np.broadcast_to(number.reshape(3, 2, *(1 for _ in dims)), (3, 2, *dims))
    masks = np.repeat(number[..., None] % 2 == 0, 4, axis=2)
    batch = Batch(observations, actions, -number / 1.0, number / 1.0, no, no, valid, masks, 0)
    rows = minibatch_of(batch, np.arange(4) * 0.1, np.arange(4) * 2.0, np.arange(4) * 3.0)
    kept = [0, 3, 4, 5]  # row by row, as number[valid] has them
    assert rows.observations.tolist() == [[n] for n in kept]
    assert rows.actions.reshape(4, -1)[:, 0].tolist() == kept
    assert rows.actions.shape == (4, *dims)
    assert rows.masks.tolist() == [[n % 2 == 0] * 4 for n in kept]
    assert rows.log_probs.tolist() == (np.arange(4) * 0.1).tolist()
    assert rows.advantages.tolist() == [0, 2, 4, 6]
    assert rows.targets.tolist() == [0, 3, 6, 9]
