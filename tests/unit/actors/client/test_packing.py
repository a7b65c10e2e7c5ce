"""Packing: several games in one entry are what each would be alone, and only what belongs together is put together."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from broodmind.actors.client.encoder_thread import EncoderThread
from broodmind.actors.client.episode import FinishedEpisode
from broodmind.actors.client.episode_buffer import EpisodeBuffer, EpisodeEnd, RecordedGame
from broodmind.actors.client.episode_record import EpisodeRecord
from broodmind.actors.client.open_games import OpenGames
from broodmind.actors.client.packing import PackLimit, grouped, to_header, to_trajectory
from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.spec import GameSpec, NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.demand import Demand
from broodmind.common.wire.trajectory import MAX_COLUMNS, decode_trajectory, encode_trajectory
from broodmind.common.wire.weights import Pointer

TOY = GameSpec("toy", (3,), Discrete(4), wins=True)
AMPLE = PackLimit(10**6, 10**6, 10**9)
STEPS = ("actions", "log_probs", "rewards", "terminated", "truncated", "masks")


@functools.cache  # the games of a run have its one spec
def run_spec(game=TOY, unroll="steps", length=8, correlation=0.0):
    return RunSpec(game, NetworkSpec(hidden=(8,)), RolloutSpec(unroll, length, noise_correlation=correlation))


def pointer(version=3, epoch=1, commit=None):
    return Pointer(epoch, version, f"{version:x}" if commit is None else commit, "digest", 1)


def played(spec, steps, seed=0, *versions, terminated=True, began_ms=1000):
    """A game of random contents; with several versions, which take turns."""
    rng, game = np.random.default_rng((seed, steps)), spec.game
    buffer, pointers = EpisodeBuffer(), versions or (pointer(),)
    for step in range(steps):
        choices = [rng.integers(size) for size in game.actions.sizes]
        action = np.array(choices, np.int32) if choices else rng.random(game.actions.shape).astype(np.float32)
        buffer.add(
            rng.random(game.observation_shape).astype(game.observation_dtype),
            action.reshape(game.actions.shape),
            np.float32(-rng.random()),
            np.ones(sum(game.actions.sizes), np.bool_) if game.masked else None,
            pointers[step * len(pointers) // steps],
        )
        buffer.rewards[-1] = rng.random()
    end = EpisodeEnd(rng.random(game.observation_shape).astype(game.observation_dtype), terminated, won=terminated)
    return RecordedGame(f"a-{seed}", buffer, end, began_ms, spec)


def sent(games):
    """What the learner makes of them."""
    trajectory = to_trajectory(games)
    header = to_header(games, trajectory, 2000, None)
    return header, decode_trajectory(encode_trajectory(trajectory, "a", games[0].spec), header, "a", games[0].spec)


def step_by_step(array):
    """Columns one after the other."""
    return array.swapaxes(0, 1).reshape(-1, *array.shape[2:])


GAMES = [
    TOY,
    replace(TOY, masked=True),
    replace(TOY, actions=MultiDiscrete((2, 3)), masked=True, wins=False),
    replace(TOY, actions=Box((-2.0, 0.0), (2.0, 10.0))),
    replace(TOY, observation_dtype="uint8"),
]


@pytest.mark.parametrize("lengths", [(5,), (8, 8, 8), (1, 1, 1), (3, 20, 7, 8, 1), (7, 7, 7, 7)])
@pytest.mark.parametrize("game", GAMES)
def test_in_fragments_the_games_follow_each_other_each_with_its_final_observation(game, lengths):
    games = [played(run_spec(game), steps, n, terminated=n % 2 == 0) for n, steps in enumerate(lengths)]
    _, trajectory = sent(games)
    valid = step_by_step(trajectory.valid)
    behind = step_by_step(trajectory.observations[1:])[valid]  # of each step, what the learner sees after it
    observed = step_by_step(trajectory.observations[:-1])[valid]
    first = 0
    for each in games:
        here = slice(first, first + each.steps)
        alone = to_trajectory([each])
        np.testing.assert_array_equal(observed[here], each.buffer.observations)
        np.testing.assert_array_equal(behind[here], [*each.buffer.observations[1:], each.end.observation])
        for name in STEPS:
            if getattr(alone, name) is not None:
                own = step_by_step(getattr(alone, name))[step_by_step(alone.valid)]
                np.testing.assert_array_equal(step_by_step(getattr(trajectory, name))[valid][here], own, name)
        first = here.stop
    assert first == valid.sum()
    assert trajectory.valid.size < sum(lengths) + len(lengths) + 8  # nearly all are steps of games


@pytest.mark.parametrize("game", GAMES)
def test_whole_games_are_columns_each_as_it_would_be_alone(game):
    games = [played(run_spec(game, "games", 20), steps, steps) for steps in (9, 12, 8, 15)]
    _, trajectory = sent(games)
    assert trajectory.valid.shape == (15, 4)
    for column, each in enumerate(games):
        alone = to_trajectory([each])
        assert trajectory.valid[:, column].tolist() == [True] * each.steps + [False] * (15 - each.steps)
        np.testing.assert_array_equal(trajectory.observations[: each.steps + 1, column], alone.observations[:, 0])
        for name in STEPS:
            if getattr(alone, name) is not None:
                np.testing.assert_array_equal(
                    getattr(trajectory, name)[: each.steps, column], getattr(alone, name)[:, 0]
                )


@pytest.mark.parametrize("lengths", [(8,), (3, 20, 16, 1), (5, 7), (17,)])
def test_with_noise_that_lasts_each_game_begins_a_column_and_is_cut_where_the_noise_started_anew(lengths):
    spec = run_spec(replace(TOY, actions=Box((-1.0, 0.0), (1.0, 5.0))), correlation=0.9)
    games = [played(spec, steps, seed) for seed, steps in enumerate(lengths)]
    _, trajectory = sent(games)
    column = 0
    for game, steps in zip(games, lengths, strict=True):
        for first in range(0, steps, 8):
            here = min(8, steps - first)
            assert trajectory.valid[:, column].tolist() == [step < here for step in range(len(trajectory.valid))]
            np.testing.assert_array_equal(trajectory.actions[:here, column], game.buffer.actions[first : first + here])
            seen = [*game.buffer.observations, game.end.observation][first : first + here + 1]
            np.testing.assert_array_equal(trajectory.observations[: here + 1, column], seen)
            ends = trajectory.terminated[:, column]
            assert np.flatnonzero(ends).tolist() == ([here - 1] if first + here == steps else [])
            column += 1
    assert trajectory.valid.shape[1] == column


def test_the_header_tells_each_games_result():
    games = [played(run_spec(), steps, steps, terminated=steps > 3, began_ms=100 * steps) for steps in (5, 2)]
    header, _ = sent(games)
    assert header.episodes.lengths == (5, 2)
    assert header.episodes.began_ms == (500, 200)
    assert header.episodes.wins == (True, False)
    assert header.episodes.returns == pytest.approx([sum(game.buffer.rewards) for game in games])
    assert (header.steps, header.games, header.created_ms, header.epoch) == (7, 2, 2000, 1)


@pytest.mark.parametrize("unroll", ["steps", "games"])
def test_each_step_has_the_version_that_played_it(unroll):
    spec = run_spec(unroll=unroll)
    games = [played(spec, 4, 1, pointer(7)), played(spec, 6, 2, pointer(6), pointer(8)), played(spec, 4, 3, pointer(6))]
    header, trajectory = sent(games)
    assert (header.versions, header.commits) == ((6, 8), ("6", "8"))
    offsets = step_by_step(trajectory.version_offsets)[step_by_step(trajectory.valid)]
    assert (offsets + 6).tolist() == [7] * 4 + [6] * 3 + [8] * 3 + [6] * 4


def test_of_one_version_no_step_needs_to_tell_it():
    header, trajectory = sent([played(run_spec(), 4, n) for n in range(3)])
    assert (header.versions, trajectory.version_offsets) == ((3, 3), None)


# What travels together.


def sizes(groups):
    return [len(group) for group in groups]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (AMPLE, [10]),
        (replace(AMPLE, steps=12), [3, 3, 3, 1]),
        (replace(AMPLE, steps=3), [1] * 10),
        (replace(AMPLE, games=4), [4, 4, 2]),
        (replace(AMPLE, payload_bytes=5 * played(run_spec(), 4).bytes), [5, 5]),
    ],
)
def test_an_entry_has_up_to_so_much_and_a_larger_game_is_alone(limit, expected):
    games = [played(run_spec(), 4, n) for n in range(10)]
    groups = grouped(games, limit)
    assert sizes(groups) == expected
    assert [game.id for group in groups for game in group] == [game.id for game in games]


def test_never_two_epochs_or_two_specs():
    spec, other = run_spec(), run_spec(length=16)
    games = [
        played(of, 4, n, pointer(3, epoch))
        for n, (of, epoch) in enumerate([(spec, 1), (spec, 2), (other, 1), (spec, 1)])
    ]
    groups = grouped(games, AMPLE)
    assert [[game.id for game in group] for group in groups] == [["a-0", "a-3"], ["a-1"], ["a-2"]]


def test_never_two_commits_of_one_version():
    games = [played(run_spec(), 4, n, pointer(3, 1, commit)) for n, commit in enumerate(["aa", "bb", "bb"])]
    assert sizes(grouped(games, AMPLE)) == [1, 2]


def test_only_neighbouring_versions_so_that_no_old_game_makes_new_ones_stale():
    games = [played(run_spec(), 4, version, pointer(version)) for version in (5, 6, 7, 8, 9, 20)]
    assert sizes(grouped(games, AMPLE)) == [3, 2, 1]
    long_game = played(run_spec(), 8, 1, pointer(5), pointer(15))
    assert sizes(grouped([long_game, played(run_spec(), 4, 2, pointer(15)), games[-1]], AMPLE)) == [2, 1]


def test_less_than_half_of_whole_games_is_padding():
    rng = np.random.default_rng(1)
    games = [
        played(run_spec(unroll="games", length=500), int(steps), n) for n, steps in enumerate(rng.geometric(0.02, 99))
    ]
    groups = grouped(games, AMPLE)
    assert len(groups) < 12
    for group in groups:
        assert to_trajectory(group).valid.mean() > 0.5


def test_an_entry_never_has_more_columns_than_the_learner_takes():
    games = [played(run_spec(length=1), 3, n) for n in range(2000)]
    groups = grouped(games, AMPLE)
    assert len(groups) == 2
    for group in groups:
        sent(group)
    assert MAX_COLUMNS - 4 < to_trajectory(groups[0]).valid.shape[1] <= MAX_COLUMNS


def test_so_it_is_where_each_game_has_columns_of_its_own():
    games = [played(run_spec(length=8, correlation=0.9), 9, n) for n in range(2200)]
    groups = grouped(games, AMPLE)
    assert len(groups) == 2
    for group in groups:
        sent(group)


@pytest.mark.parametrize(
    ("batch", "expected"), [((2048, 0), (256, MAX_COLUMNS)), ((0, 64), (1 << 18, 8)), ((4, 0), (1, MAX_COLUMNS))]
)
def test_an_entry_is_a_fraction_of_the_learners_batch(batch, expected):
    limit = PackLimit.of(Demand(1, 0, 0, 0, *batch), 10**6)
    assert (limit.steps, limit.games, limit.payload_bytes) == (*expected, 1 << 18)


@pytest.mark.parametrize("demand", [None, Demand(1, 0, 0, 0, 2048, 0)])
def test_an_entry_is_a_fraction_of_what_may_be_queued_as_it_is_dropped_as_a_whole(demand):
    assert [PackLimit.of(demand, games).games for games in (3, 80)] == [1, 10]


# The thread.


class Kept:
    """Takes the place of a delivery."""

    def __init__(self):
        self.entries = []

    def put(self, header, payload):
        self.entries.append((header, payload))


def finished(game, number):
    record = EpisodeRecord(game.id, {"n": number}, 1, 3, "win", "", 0, 1.0, game.steps, 0.0, trained_on=True)
    return FinishedEpisode(record, game)


def test_games_that_have_ended_are_sent_together_and_counted_each(tmp_path):
    kept, records = Kept(), tmp_path / "records"
    encoder = EncoderThread("a", kept, records, OpenGames(), lambda: PackLimit(steps=60))
    games = [played(run_spec(), 12, n) for n in range(12)]
    for number, game in enumerate(games):
        encoder.put(finished(game, number))
    encoder.start()
    assert encoder.flush(30)
    encoder.close(30)
    assert [header.games for header, _ in kept.entries] == [5, 5, 2]
    assert encoder.outcomes["win"] == 12
    assert len(records.read_text().splitlines()) == 12


def test_a_game_that_cannot_be_encoded_loses_no_other(tmp_path):
    kept = Kept()
    encoder = EncoderThread("a", kept, None, OpenGames())
    broken = played(run_spec(), 12, 1)
    broken.buffer.observations[3] = np.zeros(7)
    for game in (broken, played(run_spec(), 12, 2)):
        encoder.put(finished(game, 1))
    encoder.start()
    assert encoder.flush(30)
    encoder.close(30)
    assert [header.games for header, _ in kept.entries] == [1]
    assert encoder.outcomes["win"] == 2


class Playing:
    """An episode in play, as far as it matters here."""

    def __init__(self, game, *, recorded=True):
        self.id, self.began_ms, self.recorded = game.id, game.began_ms, recorded


def test_an_entry_tells_since_when_a_game_is_open_that_is_in_no_entry_yet():
    kept, open_games = Kept(), OpenGames()
    encoder = EncoderThread("a", kept, None, open_games, lambda: PackLimit(games=1))
    games = [played(run_spec(), 2, n, began_ms=began) for n, began in enumerate([300, 100, 200])]
    for game in games:
        open_games.add(Playing(game))
    open_games.add(Playing(played(run_spec(), 2, 7, began_ms=50), recorded=False))
    open_games.add(Playing(played(run_spec(), 2, 8, began_ms=400)))  # and it plays on
    for number, game in enumerate(games):
        encoder.put(finished(game, number))
    encoder.start()
    assert encoder.flush(30)
    encoder.close(30)
    assert [header.open_since_ms for header, _ in kept.entries] == [100, 200, 400]
