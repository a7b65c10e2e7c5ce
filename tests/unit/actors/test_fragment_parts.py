"""Parts of a fragment: together they are the fragment, and a batch of them is about as large as was asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from broodmind.actors.fragment_parts import number_of_parts, split_for_batch
from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.actors.inference.policy import Policy
from broodmind.actors.rollout import make_rollout
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import RolloutSpec, RunSpec
from broodmind.common.wire.entry_header import Header
from broodmind.common.wire.trajectory import decode_trajectory, encode_trajectory
from broodmind.common.wire.weights import Pointer

SPEC = RunSpec(TinyZerg.spec, rollout=RolloutSpec(fragment_length=64))


@pytest.fixture(scope="module")
def fragment():
    rng = np.random.default_rng(3)
    policy = Policy(Pointer(1, 4, "c", "d", 0), initial_params(SPEC.network, SPEC.game, rng), SPEC)
    rollout = make_rollout(TinyZerg(20), SPEC, 1, rng)
    played = [rollout.play(policy)[0] for _ in range(40)]
    return max(played, key=lambda each: each.trajectory.games)


@pytest.mark.parametrize(
    ("steps", "columns", "batch", "count"),
    [
        (32, 8, 2048, 1),  # an eighth of a batch
        (32, 16, 2048, 1),  # a quarter, without a rest
        (32, 96, 2048, 3),
        (32, 48, 2048, 2),
        (32, 64, 2048, 1),
        (32, 4096, 2048, 57),
        (4096, 3, 2048, 3),  # no number is enough
        (100, 1, 30, 1),
    ],
)
def test_the_least_number_of_parts_is_taken(steps, columns, batch, count):
    assert number_of_parts(steps, columns, batch) == count


@pytest.mark.parametrize("columns", range(1, 200, 7))
@pytest.mark.parametrize("batch", [512, 2048, 5000])
def test_a_batch_is_at_most_an_eighth_too_large_where_a_column_is_small(columns, batch):
    part = 32 * math.ceil(columns / number_of_parts(32, columns, batch))
    assert batch <= math.ceil(batch / part) * part <= batch * 9 / 8


def test_a_fragment_that_is_small_enough_stays_whole(fragment):
    assert split_for_batch(fragment, 1 << 20) == [fragment]


def test_parts_are_the_fragment_in_its_columns(fragment):
    parts = split_for_batch(fragment, 500)
    assert len(parts) == 5
    for name in ("observations", "actions", "log_probs", "rewards", "terminated", "truncated", "valid"):
        joined = np.concatenate([getattr(part.trajectory, name) for part in parts], axis=1)
        np.testing.assert_array_equal(joined, getattr(fragment.trajectory, name))
    assert {part.played_with for part in parts} == {fragment.played_with}


def test_each_game_is_in_the_part_in_which_it_ended(fragment):
    whole = fragment.trajectory.episodes
    assert len(whole) > 8
    parts = split_for_batch(fragment, 500)
    found = [game for part in parts for game in zip(*_columns(part.trajectory.episodes), strict=True)]
    assert sorted(found) == sorted(zip(*_columns(whole), strict=True))
    for part in parts:
        trajectory = part.trajectory
        header = Header(1, (4, 4), trajectory.steps, 0, episodes=trajectory.episodes)
        decode_trajectory(encode_trajectory(trajectory, "a", SPEC), header, "a", SPEC)  # counts its games
        endings = zip(*np.nonzero(trajectory.terminated | trajectory.truncated), strict=True)
        for (t, column), length, result in zip(
            endings, trajectory.episodes.lengths, trajectory.episodes.returns, strict=True
        ):
            if length <= t + 1:  # it began in this fragment
                assert trajectory.rewards[t + 1 - length : t + 1, column].sum() == pytest.approx(result, abs=1e-5)


def test_games_that_are_in_a_later_part_are_still_open(fragment):
    parts = split_for_batch(fragment, 500)
    for at, part in enumerate(parts):
        later = [began for each in parts[at + 1 :] for began in each.trajectory.episodes.began_ms]
        assert part.open_since_ms == min([fragment.open_since_ms, *later])


def _columns(episodes):
    return [column for column in (episodes.returns, episodes.lengths, episodes.began_ms, episodes.wins) if column]


def test_own_metrics_go_with_their_games(fragment):
    episodes = fragment.trajectory.episodes
    own = tuple((("length", float(length)),) if number % 3 else () for number, length in enumerate(episodes.lengths))
    trajectory = replace(fragment.trajectory, episodes=replace(episodes, metrics=own))
    found = []
    for part in split_for_batch(replace(fragment, trajectory=trajectory), 500):
        games = part.trajectory.episodes
        found += games.own_metrics
        pairs = zip(games.lengths, games.own_metrics, strict=True)
        assert all(dict(metrics).get("length", length) == length for length, metrics in pairs)
    assert sorted(found) == sorted(own)
