"""The plan for greedy games, as Redis holds it."""

from __future__ import annotations

import json

import pytest

from broodmind.common.errors import WireError
from broodmind.common.wire.evaluation_plan import EvaluationPlan
from broodmind.common.wire.weights import Pointer

POINTER = Pointer(1, 7, "c7", "digest", 100)


@pytest.mark.parametrize(
    "plan",
    [EvaluationPlan(0.0), EvaluationPlan(0.1, POINTER), EvaluationPlan(0.5, POINTER, Pointer(1, 3, "c", "d", 9))],
)
def test_it_is_read_as_it_was_written(plan):
    assert EvaluationPlan.from_json(plan.to_json().encode()) == plan


GOOD = json.loads(EvaluationPlan(0.1, POINTER).to_json())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "^evaluation: "),
        (b"[]", "^evaluation: "),
        (b'{"share": 0.1}', "^evaluation: "),
        (json.dumps({**GOOD, "share": 1}).encode(), "^evaluation: share is 1, expected a number"),
        (json.dumps({**GOOD, "share": "0.1"}).encode(), "^evaluation: share is '0.1'"),
        (json.dumps({**GOOD, "share": -0.1}).encode(), "^evaluation: share is -0.1"),
        (json.dumps({**GOOD, "share": float("nan")}).encode(), "^evaluation: share is nan"),
        (json.dumps({**GOOD, "candidate": {}}).encode(), "^latest: "),
        (json.dumps({**GOOD, "best": {**GOOD["candidate"], "length": 1 << 40}}).encode(), "^latest: weights of "),
    ],
)
def test_anything_else_is_refused(text, message):
    with pytest.raises(WireError, match=message):
        EvaluationPlan.from_json(text)
