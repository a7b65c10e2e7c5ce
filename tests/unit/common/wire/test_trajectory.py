"""Single values that no trajectory may have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.runs import SPEC, make_header, trajectory

from broodmind.common.actions import Box
from broodmind.common.errors import WireError
from broodmind.common.wire.trajectory import check_values


@pytest.mark.parametrize("sign", [1, -1])
def test_a_continuous_action_of_any_size_is_refused(sign):
    spec = replace(SPEC, game=replace(SPEC.game, actions=Box((-1.0,), (1.0,))))
    played = trajectory()
    played = replace(played, actions=np.zeros((*played.valid.shape, 1), np.float32))
    header = make_header(1, 1, played.steps, played.episodes, 1000)
    check_values(played, header, spec)
    played.actions[2, 1] = sign * 1e30
    with pytest.raises(WireError, match=r"^actions: up to 1.*e\+30, expected at most .* either way"):
        check_values(played, header, spec)
