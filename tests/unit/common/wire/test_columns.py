"""The columns of a payload, by the run's spec."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.spec import GameSpec, RolloutSpec, RunSpec
from broodmind.common.wire.codec import DTYPES
from broodmind.common.wire.columns import Column, columns_of
from broodmind.common.wire.trajectory import Trajectory

GAME = GameSpec("toy", (3, 2), Discrete(4))


def layout(game=GAME, **rollout):
    """Dtype and shape of each column in a trajectory of 5 steps and 7 columns."""
    columns = columns_of(RunSpec(game, rollout=RolloutSpec(**rollout)))
    return {column.name: (column.dtype, column.shape(5, 7)) for column in columns}


def test_each_array_has_its_dtype_and_shape():
    step = (5, 7)
    assert layout() == {
        "observations": ("<f4", (6, 7, 3, 2)),
        "actions": ("<i4", step),
        "log_probs": ("<f4", step),
        "rewards": ("<f4", step),
        "terminated": ("?", step),
        "truncated": ("?", step),
        "valid": ("?", step),
        "version_offsets": ("<i4", step),
    }


@pytest.mark.parametrize(
    ("game", "rollout", "column", "expected"),
    [
        (GAME, {"float16": True}, "observations", ("<f2", (6, 7, 3, 2))),
        (replace(GAME, observation_dtype="uint8"), {}, "observations", ("|u1", (6, 7, 3, 2))),
        (replace(GAME, observation_dtype="uint8"), {"float16": True}, "observations", ("|u1", (6, 7, 3, 2))),
        (replace(GAME, actions=MultiDiscrete((2, 3))), {}, "actions", ("<i4", (5, 7, 2))),
        (replace(GAME, actions=Box((-1.0,) * 3, (1.0,) * 3)), {}, "actions", ("<f4", (5, 7, 3))),
        (replace(GAME, masked=True), {}, "masks", ("?", (5, 7, 4))),
        (replace(GAME, actions=MultiDiscrete((2, 3)), masked=True), {}, "masks", ("?", (5, 7, 5))),
    ],
)
def test_what_the_spec_says_of_a_column(game, rollout, column, expected):
    assert layout(game, **rollout)[column] == expected


def test_a_column_of_play_has_no_step():
    """As a recurrent network's state at the first step."""
    assert Column("state", "<f4", "columns", (64,)).shape(5, 7) == (7, 64)


def test_only_the_versions_may_be_missing():
    assert [column.name for column in columns_of(RunSpec(replace(GAME, masked=True))) if column.optional] == [
        "version_offsets"
    ]


def test_every_column_is_a_field_of_a_trajectory_in_a_dtype_that_can_be_sent():
    columns = columns_of(RunSpec(replace(GAME, masked=True)))
    assert {column.name for column in columns} == {field.name for field in fields(Trajectory)} - {"episodes"}
    assert {column.dtype for column in columns} <= DTYPES.keys()
