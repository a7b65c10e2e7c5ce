"""The features of one decision, from what the bot sees."""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.actors.starcraft2.features import GameState, map_control, observe

STATE = GameState(500, 100, 30, 44, 20, 31, 4, 2, 300, 1, 1, 3, 0.5, 600, 150)


def test_features_have_the_order_and_scales_of_the_original_bot():
    """As the original's experience files have them: minerals / 2000, vespene / 1000, and so on."""
    scales = [2000, 1000, 200, 200, 100, 100, 100, 10, 1000, 5, 10, 20, 1, 5000, 5000]
    expected = [value / scale for value, scale in zip(STATE, scales, strict=True)]
    seen = observe(STATE)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_a_feature_is_clipped_at_twice_its_scale():
    assert observe(STATE._replace(vespene=1824))[1] == pytest.approx(1.824)
    assert observe(STATE._replace(minerals=10_000))[0] == 2.0
    assert observe(STATE._replace(vespene=-5))[1] == 0.0


def test_map_control_is_our_share_of_the_known_bases():
    assert map_control(2, 0) == 0.5
    assert map_control(3, 1) == 0.75
    assert map_control(0, 2) == 0.0
