"""Flat observations: where each number of each part goes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.common.observation_parts import ObservationPart
from broodmind.common.policy.flat_observations import flatten

PLACE = ObservationPart(("place",), "one_hot", (), (3,), (5,))
SPEED = ObservationPart(("inner", 1), "numbers", (2,))
CAMERA = ObservationPart(("camera",), "image", (1, 2))
CARDS = ObservationPart((), "one_hot", (2,), (2, 3), (0, 1))


def seen(place=(5, 7)):
    return {
        "place": np.array(place),
        "inner": (None, np.array([[0.5, -1.5], [2.0, 3.0]])),
        "camera": np.array([[[0, 255]], [[51, 102]]], np.uint8),
    }


def test_parts_follow_each_other_options_as_one_hot_and_pixels_divided_by_255():
    flat = flatten((PLACE, SPEED, CAMERA), seen(), 2)
    assert flat.dtype == np.float32
    np.testing.assert_allclose(flat, [[1, 0, 0, 0.5, -1.5, 0, 1], [0, 0, 1, 2, 3, 0.2, 0.4]], rtol=1e-6)


def test_images_alone_stay_bytes():
    flat = flatten((CAMERA,), seen(), 2, "uint8")
    assert (flat.dtype, flat.tolist()) == (np.uint8, [[0, 255], [51, 102]])


def test_each_element_of_several_options_is_one_hot():
    assert flatten((CARDS,), np.array([[1, 1], [0, 3]]), 2).tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"place": np.array([5, 8])}, "place: 8, expected 5 to 7"),
        ({"place": np.array([4, 5])}, "place: 4, expected 5 to 7"),
        ({"camera": np.zeros((2, 2, 1))}, r"camera: shape \(2, 1\), expected \(1, 2\)"),
        ({"inner": (None,)}, "inner.1: missing from the observation"),
        ({"inner": None}, "inner.1: missing from the observation"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(change, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        flatten((PLACE, SPEED, CAMERA), {**seen(), **change}, 2)
