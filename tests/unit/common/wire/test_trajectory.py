"""Single values that no trajectory may have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.runs import SPEC, trajectory

from broodmind.common.actions import Box
from broodmind.common.errors import WireError
from broodmind.common.wire.trajectory import Header, check_values, parse_entry


def test_another_mark_than_that_of_an_import_is_refused():
    raw = [b"v", b"0", b"e", b"0", b"c", b"", b"n", b"8", b"g", b"1", b"t", b"5", b"b", b"imported", b"p", b"payload"]
    header, _ = parse_entry(raw)
    assert header.imported
    raw[13] = b"stolen"
    with pytest.raises(WireError, match=r"entry: b is b'stolen', expected imported, or no b"):
        parse_entry(raw)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_continuous_action_of_any_size_is_refused(sign):
    spec = replace(SPEC, game=replace(SPEC.game, actions=Box((-1.0,), (1.0,))))
    played = trajectory()
    played = replace(played, actions=np.zeros((*played.valid.shape, 1), np.float32))
    header = Header(1, 1, played.steps, played.games, 1000)
    check_values(played, header, spec)
    played.actions[2, 1] = sign * 1e30
    with pytest.raises(WireError, match=r"^actions: up to 1.*e\+30, expected at most .* either way"):
        check_values(played, header, spec)
