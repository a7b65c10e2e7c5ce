"""Actions without a policy: uniform among what is known to be possible."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from broodmind.actors.client.fallback_policy import as_flags, uniform
from broodmind.common.actions import Box, Discrete, MultiDiscrete


def drawn(actions, mask, times=400):
    rng = np.random.default_rng(3)
    return [uniform(actions, as_flags(mask), rng) for _ in range(times)]


@pytest.mark.parametrize("mask", [None, [True, True], [False] * 4, "no mask", [[1, 0], [1]]])
def test_without_a_mask_that_fits_every_choice_is_drawn_equally_often(mask):
    counts = Counter(drawn(Discrete(4), mask))
    assert set(counts) == {0, 1, 2, 3}
    assert min(counts.values()) > 70


def test_only_actions_allowed_by_the_mask_are_drawn():
    counts = Counter(drawn(Discrete(4), [0, 1, 0, 1]))
    assert set(counts) == {1, 3}
    assert min(counts.values()) > 150


def test_each_of_several_choices_uses_its_own_part_of_the_mask():
    moves = np.array(drawn(MultiDiscrete((2, 3)), [True, False, False, True, True]))
    assert moves.dtype == np.int32
    assert {tuple(move) for move in moves.tolist()} == {(0, 1), (0, 2)}
    assert {tuple(move) for move in np.array(drawn(MultiDiscrete((2, 3)), [True])).tolist()} == {
        (one, other) for one in range(2) for other in range(3)
    }


def test_numbers_are_drawn_from_the_whole_of_their_range():
    moves = np.array(drawn(Box((-1.0, 0.0), (1.0, 10.0)), None))
    assert (moves.min(axis=0) < [-0.95, 0.5]).all()
    assert (moves.max(axis=0) > [0.95, 9.5]).all()
    assert (moves >= [-1, 0]).all()
    assert (moves <= [1, 10]).all()
