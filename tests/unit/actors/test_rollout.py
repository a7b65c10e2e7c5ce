"""Rollouts on a game whose every step is known beforehand.

Each column plays games of given lengths, one after the other, over and over. An observation is (game, steps so far in
it), so that the expected arrays can be written down by hand; step k of a game gives k as its reward.
"""

import itertools
from copy import deepcopy
from dataclasses import fields, replace

import numpy as np
import pytest
from support.runs import make_header

from broodmind.actors.games.vector_game import Step
from broodmind.actors.info_metrics import InfoMetrics
from broodmind.actors.rollout import GameRollout, GamesInProgress, StepRollout, make_rollout
from broodmind.common.actions import Discrete
from broodmind.common.spec import GameSpec, RolloutSpec, RunSpec
from broodmind.common.wire.entry_header import Episodes
from broodmind.common.wire.trajectory import decode_trajectory, encode_trajectory
from broodmind.common.wire.weights import Pointer

TERMINATED, TRUNCATED = "terminated", "truncated"
ACTIONS = 3


class Script:
    """A vector game that follows a script: for each column (length, how it ends, won) of game after game."""

    def __init__(self, *columns, masked=False, wins=False):
        self.spec = GameSpec("script", (2,), Discrete(ACTIONS), masked=masked, wins=wins)
        self.num_envs = len(columns)
        self._columns = columns
        self.seen = []  # the actions it was given
        self.seeds = []

    def reset(self, seed):
        self.seeds.append(seed)
        self._game = np.zeros(self.num_envs, int)
        self._at = np.zeros(self.num_envs, int)
        self._over = np.zeros(self.num_envs, bool)
        return self._step(np.zeros(self.num_envs, np.float32), np.zeros((3, self.num_envs), bool))

    def step(self, actions):
        self.seen.append(actions.tolist())
        rewards, endings = np.zeros(self.num_envs, np.float32), np.zeros((3, self.num_envs), bool)
        for column, script in enumerate(self._columns):
            if self._over[column]:  # this call only resets
                self._game[column] += 1
                self._at[column] = 0
                self._over[column] = False
                continue
            self._at[column] += 1
            rewards[column] = self._at[column]
            length, how, won = script[self._game[column] % len(script)]
            if self._at[column] == length:
                self._over[column] = True
                endings[:, column] = how == TERMINATED, how == TRUNCATED, won
            else:
                endings[2, column] = True  # a win means nothing before the end, and must not be read
        return self._step(rewards, endings)

    def _step(self, rewards, endings):
        observations = np.stack([self._game, self._at], axis=1).astype(np.float32)
        masks = np.stack([(self._game + self._at) % ACTIONS != action for action in range(ACTIONS)], axis=1)
        terminated, truncated, wins = endings
        return Step(
            observations,
            rewards,
            terminated,
            truncated,
            masks if self.spec.masked else None,
            wins if self.spec.wins else None,
        )

    def close(self):
        pass


def pointer(version):
    return Pointer(1, version, f"commit {version}", "digest", 1)


class CountingPolicy:
    """Plays (game + steps so far in it) mod 3, or the next action where the mask forbids that one."""

    def __init__(self, version=1):
        self.pointer = pointer(version)

    def act(self, observations, masks, _rng, _noise=None):
        observations = observations.astype(np.float32)
        actions = observations.sum(axis=1).astype(np.int32) % ACTIONS
        if masks is not None:
            rows = np.arange(len(actions))
            actions = np.where(masks[rows, actions], actions, (actions + 1) % ACTIONS).astype(np.int32)
        return actions, (-1 - observations[:, 0] - observations[:, 1] / 16).astype(np.float32)


def make(kind, game, length):
    return kind(GamesInProgress(game, 7, np.random.default_rng(0)), length)


def columns_of(array):
    """[T, B] as B lists."""
    return array.swapaxes(0, 1).tolist()


def assert_travels(trajectory, game, length, versions=(1, 1)):
    """The learner takes it as it is."""
    spec = RunSpec(game.spec, rollout=RolloutSpec(fragment_length=length))
    header = replace(make_header(1, 1, trajectory.steps, trajectory.episodes, 1), versions=versions)
    decode_trajectory(encode_trajectory(trajectory, "a", spec), header, "a", spec)


# Pieces of a fixed number of steps.


def two_columns(**options):
    """Column 0: games of 2 (terminated, won) and 3 (truncated). Column 1: games of 4 (terminated, lost)."""
    return Script([(2, TERMINATED, True), (3, TRUNCATED, False)], [(4, TERMINATED, False)], **options)


def test_a_fragment_has_every_step_of_every_column():
    game = two_columns()
    (fragment,) = make(StepRollout, game, 6).play(CountingPolicy())
    trajectory = fragment.trajectory
    # (game, steps so far): two steps, the reset, then three; the final observation of each game is in the sequence.
    first = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [1, 3]]
    second = [[0, 0], [0, 1], [0, 2], [0, 3], [0, 4], [1, 0], [1, 1]]
    assert columns_of(trajectory.observations) == [first, second]
    assert columns_of(trajectory.valid) == [[1, 1, 0, 1, 1, 1], [1, 1, 1, 1, 0, 1]]
    assert columns_of(trajectory.rewards) == [[1, 2, 0, 1, 2, 3], [1, 2, 3, 4, 0, 1]]
    assert columns_of(trajectory.terminated) == [[0, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]]
    assert columns_of(trajectory.truncated) == [[0, 0, 0, 0, 0, 1], [0] * 6]
    assert columns_of(trajectory.actions) == [[(g + k) % 3 for g, k in column[:-1]] for column in (first, second)]
    assert columns_of(trajectory.log_probs) == [[-1 - g - k / 16 for g, k in column[:-1]] for column in (first, second)]
    assert game.seen == trajectory.actions.tolist()
    assert game.seeds == [7]
    assert trajectory.masks is None
    assert trajectory.episodes.wins is None
    assert (trajectory.steps, trajectory.games) == (10, 3)
    assert_travels(trajectory, game, 6)


def test_returns_lengths_and_wins_are_those_of_the_games_in_the_order_they_ended():
    game = two_columns(wins=True)
    (fragment,) = make(StepRollout, game, 6).play(CountingPolicy())
    trajectory = fragment.trajectory
    assert trajectory.episodes.returns == (1 + 2, 1 + 2 + 3 + 4, 1 + 2 + 3)
    assert trajectory.episodes.lengths == (2, 4, 3)
    assert trajectory.episodes.wins == (True, False, False)
    assert_travels(trajectory, game, 6)


def test_games_that_end_in_the_same_step_are_in_the_order_of_their_columns():
    game = Script([(3, TERMINATED, False)], [(9, TERMINATED, True)], [(3, TRUNCATED, True)], wins=True)
    (fragment,) = make(StepRollout, game, 4).play(CountingPolicy())
    assert fragment.trajectory.episodes.lengths == (3, 3)
    assert fragment.trajectory.episodes.wins == (False, True)


def test_a_game_that_spans_fragments_is_counted_as_a_whole_in_the_one_where_it_ends():
    game = two_columns(wins=True)
    rollout = make(StepRollout, game, 3)
    fragments = [rollout.play(CountingPolicy())[0].trajectory for _ in range(4)]
    assert [fragment.episodes.lengths for fragment in fragments] == [(2,), (4, 3), (2, 4), ()]
    assert [fragment.episodes.returns for fragment in fragments] == [(3,), (10, 6), (3, 10), ()]
    assert [fragment.episodes.wins for fragment in fragments] == [(True,), (False, False), (True, False), ()]
    for before, after in itertools.pairwise(fragments):
        np.testing.assert_array_equal(before.observations[-1], after.observations[0])
    assert sum(fragment.steps for fragment in fragments) == 9 + 10  # of 12 each: column 0 reset 3 times, column 1 twice
    assert game.seeds == [7]


def test_a_game_that_ends_with_its_fragment_resets_in_the_first_step_of_the_next():
    rollout = make(StepRollout, Script([(3, TERMINATED, False)]), 3)
    first, second = (rollout.play(CountingPolicy())[0].trajectory for _ in range(2))
    assert columns_of(first.valid) == [[1, 1, 1]]
    assert columns_of(first.observations)[0][-1] == [0, 3]
    assert columns_of(second.valid) == [[0, 1, 1]]
    assert columns_of(second.observations) == [[[0, 3], [1, 0], [1, 1], [1, 2]]]


def test_a_fragment_in_which_no_game_ends_counts_no_games():
    (fragment,) = make(StepRollout, Script([(50, TERMINATED, True)], wins=True), 4).play(CountingPolicy())
    assert fragment.trajectory.episodes == Episodes(wins=())


def test_with_games_of_one_step_every_second_step_is_a_reset():
    (fragment,) = make(StepRollout, Script([(1, TERMINATED, False)]), 5).play(CountingPolicy())
    assert columns_of(fragment.trajectory.valid) == [[1, 0, 1, 0, 1]]
    assert fragment.trajectory.episodes.lengths == (1, 1, 1)


@pytest.mark.parametrize("kind", [StepRollout, GameRollout])
def test_masks_are_those_the_action_was_chosen_under(kind):
    game = Script([(4, TERMINATED, False)], masked=True)
    rollout = make(kind, game, 4)
    fragments = []
    while not fragments:
        fragments = rollout.play(CountingPolicy())
    trajectory = fragments[0].trajectory
    # After k steps action k mod 3 is forbidden, and the policy plays the one after it.
    assert columns_of(trajectory.masks) == [[[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 1, 1]]]
    assert columns_of(trajectory.actions) == [[1, 2, 0, 1]]
    assert_travels(trajectory, game, 4)


@pytest.mark.parametrize("kind", [StepRollout, GameRollout])
def test_a_fragment_is_not_changed_by_later_steps(kind):
    game = Script([(3, TERMINATED, True), (3, TRUNCATED, False)], masked=True, wins=True)
    step, calls = game.step, itertools.count()

    def never_the_same_reward_twice(actions):
        made = step(actions)
        return replace(made, rewards=made.rewards + next(calls))

    game.step = never_the_same_reward_twice
    rollout = make(kind, game, 3)
    fragments = []
    while not fragments:
        fragments = rollout.play(CountingPolicy())
    names = [field.name for field in fields(fragments[0].trajectory)]
    kept = deepcopy(fragments[0].trajectory)
    for _ in range(9):
        rollout.play(CountingPolicy())
    for name in names:
        np.testing.assert_array_equal(getattr(fragments[0].trajectory, name), getattr(kept, name), name)


def test_a_fragment_of_steps_has_the_version_that_played_it():
    rollout = make(StepRollout, two_columns(), 3)
    fragments = [rollout.play(CountingPolicy(version))[0] for version in (4, 6)]
    assert [fragment.played_with for fragment in fragments] == [(pointer(4),) * 2, (pointer(6),) * 2]
    assert [fragment.trajectory.version_offsets for fragment in fragments] == [None, None]


# Whole games.


def play_games(rollout, steps, version=lambda _: 1):
    """The pieces of so many steps, each with the step it came out of."""
    return [
        (step, fragment) for step in range(1, steps + 1) for fragment in rollout.play(CountingPolicy(version(step)))
    ]


def test_each_whole_game_becomes_a_fragment_when_it_ends():
    game = two_columns(wins=True)
    fragments = play_games(make(GameRollout, game, 10), 9)
    # Column 0 ends after steps 2 and (a reset later) 6 and 9; column 1 after 4 and 9.
    assert [step for step, _ in fragments] == [2, 4, 6, 9, 9]
    lengths, numbers = [2, 4, 3, 2, 4], [0, 0, 1, 2, 1]
    for (_, fragment), length, number in zip(fragments, lengths, numbers, strict=True):
        trajectory = fragment.trajectory
        assert columns_of(trajectory.observations) == [[[number, k] for k in range(length + 1)]]
        assert columns_of(trajectory.actions) == [[(number + k) % 3 for k in range(length)]]
        assert columns_of(trajectory.log_probs) == [[-1 - number - k / 16 for k in range(length)]]
        assert columns_of(trajectory.rewards) == [list(range(1, length + 1))]
        assert columns_of(trajectory.valid) == [[True] * length]
        assert trajectory.episodes.lengths == (length,)
        assert trajectory.episodes.returns == (length * (length + 1) / 2,)
        assert_travels(trajectory, game, 10)
    endings = [(fragment.trajectory.terminated, fragment.trajectory.truncated) for _, fragment in fragments]
    assert [bool(terminated[-1, 0]) for terminated, _ in endings] == [True, True, False, True, True]
    assert [bool(truncated[-1, 0]) for _, truncated in endings] == [False, False, True, False, False]
    assert not any(flags[:-1].any() for pair in endings for flags in pair)
    assert [fragment.trajectory.episodes.wins for _, fragment in fragments] == [
        (True,),
        (False,),
        (False,),
        (True,),
        (False,),
    ]


def test_a_step_in_which_no_game_ends_gives_no_fragment():
    rollout = make(GameRollout, two_columns(), 10)
    assert rollout.play(CountingPolicy()) == []


def test_a_game_of_exactly_the_maximum_length_is_not_cut():
    game = Script([(4, TERMINATED, True)], wins=True)
    ((_, fragment), (_, following)) = play_games(make(GameRollout, game, 4), 9)
    for trajectory in (fragment.trajectory, following.trajectory):
        assert columns_of(trajectory.terminated) == [[0, 0, 0, 1]]
        assert not trajectory.truncated.any()
        assert trajectory.episodes.wins == (True,)
        assert (trajectory.episodes.lengths, trajectory.episodes.returns) == ((4,), (10,))


def test_a_longer_game_is_truncated_and_its_rest_is_not_recorded():
    game = Script([(7, TERMINATED, True), (2, TERMINATED, True)], wins=True)
    fragments = play_games(make(GameRollout, game, 3), 10)
    # Cut after 3 of 7 steps; then 4 unseen ones, a reset, and the next game, which ends after 2.
    assert [step for step, _ in fragments] == [3, 10]
    cut, following = (fragment.trajectory for _, fragment in fragments)
    assert columns_of(cut.observations) == [[[0, 0], [0, 1], [0, 2], [0, 3]]]  # with what to bootstrap from
    assert columns_of(cut.truncated) == [[0, 0, 1]]
    assert not cut.terminated.any()
    assert cut.episodes.wins == (False,)
    assert (cut.episodes.lengths, cut.episodes.returns) == ((3,), (6,))
    assert columns_of(following.observations) == [[[1, 0], [1, 1], [1, 2]]]
    assert columns_of(following.rewards) == [[1, 2]]
    assert columns_of(following.terminated) == [[0, 1]]
    assert following.episodes.wins == (True,)
    assert_travels(cut, game, 3)


def test_the_unrecorded_rest_of_a_game_does_not_count_in_the_next_games_return_or_length():
    game = Script([(7, TERMINATED, True), (2, TERMINATED, True)])
    fragments = play_games(make(GameRollout, game, 3), 10)
    assert [fragment.trajectory.episodes.lengths for _, fragment in fragments] == [(3,), (2,)]
    assert [fragment.trajectory.episodes.returns for _, fragment in fragments] == [(1 + 2 + 3,), (1 + 2,)]


def test_truncating_a_game_does_not_affect_other_columns():
    game = Script([(7, TERMINATED, True)], [(2, TERMINATED, True)], [(3, TRUNCATED, True)])
    fragments = play_games(make(GameRollout, game, 3), 8)
    # Column 1 ends after steps 2, 5 and 8; column 2 after 3 and 7; column 0 is cut after 3 and ends unseen after 7.
    assert [(step, len(fragment.trajectory.actions)) for step, fragment in fragments] == [
        (2, 2),
        (3, 3),
        (3, 3),
        (5, 2),
        (7, 3),
        (8, 2),
    ]
    assert [fragment.trajectory.episodes.returns for _, fragment in fragments] == [(3,), (6,), (6,), (3,), (6,), (3,)]


def versions_of(fragment):
    """The lowest and the highest version of a game, and that of each step."""
    low, high = fragment.played_with
    offsets = fragment.trajectory.version_offsets
    each = None if offsets is None else [low.version + int(offset) for offset in offsets[:, 0]]
    return low.version, high.version, each


def test_each_step_of_a_game_is_of_the_version_that_played_it():
    game = two_columns()
    fragments = play_games(make(GameRollout, game, 10), 9, version=lambda step: 10 + step)
    # Games begin with the first step after a reset: column 0 with steps 1, 4 and 8, column 1 with 1 and 6.
    assert [versions_of(fragment) for _, fragment in fragments] == [
        (11, 12, [11, 12]),
        (11, 14, [11, 12, 13, 14]),
        (14, 16, [14, 15, 16]),
        (18, 19, [18, 19]),
        (16, 19, [16, 17, 18, 19]),
    ]
    for _, fragment in fragments:
        offsets = fragment.trajectory.version_offsets
        assert (offsets.dtype, offsets.shape) == (np.int32, fragment.trajectory.valid.shape)
        assert fragment.played_with == (pointer(versions_of(fragment)[0]), pointer(versions_of(fragment)[1]))
        assert_travels(fragment.trajectory, game, 10, versions=versions_of(fragment)[:2])


def test_a_game_of_one_version_has_no_version_by_step():
    fragments = play_games(make(GameRollout, two_columns(), 10), 9, version=lambda step: 5 if step < 4 else 6)
    assert [versions_of(fragment) for _, fragment in fragments] == [
        (5, 5, None),
        (5, 6, [5, 5, 5, 6]),
        *[(6, 6, None)] * 3,
    ]


def test_versions_may_come_in_any_order():
    """As after a restart of the server without its last versions."""
    game = Script([(5, TERMINATED, True)])
    ((_, fragment),) = play_games(make(GameRollout, game, 10), 5, version=lambda step: (7, 9, 8, 8, 6)[step - 1])
    assert versions_of(fragment) == (6, 9, [7, 9, 8, 8, 6])
    assert_travels(fragment.trajectory, game, 10, versions=(6, 9))


@pytest.mark.parametrize(
    ("played", "versions"),
    [
        (((1, 5), (1, 6), (2, 1), (2, 2)), (5, 6, [5, 6, 5, 5])),
        (((1, 5), (1, 6), (2, 9), (2, 9)), (5, 6, [5, 6, 6, 6])),
        (((1, 5), (1, 5), (2, 9), (2, 9)), (5, 5, None)),
    ],
)
def test_another_epoch_in_mid_game_leaves_the_game_to_the_first_one(played, versions):
    """The learner, which is of the later epoch, rejects it for its epoch."""
    game, policy, fragments = Script([(4, TERMINATED, True)]), CountingPolicy(), []
    rollout = make(GameRollout, game, 10)
    for epoch, version in played:
        policy.pointer = replace(pointer(version), epoch=epoch)
        fragments += rollout.play(policy)
    (fragment,) = fragments
    assert [each.epoch for each in fragment.played_with] == [1, 1]
    assert versions_of(fragment) == versions
    assert_travels(fragment.trajectory, game, 10, versions=versions[:2])


def test_the_game_after_a_cut_one_is_of_its_own_versions():
    game = Script([(7, TERMINATED, True), (2, TERMINATED, True)])
    fragments = play_games(make(GameRollout, game, 3), 10, version=lambda step: 10 + step)
    assert [versions_of(fragment) for _, fragment in fragments] == [(11, 13, [11, 12, 13]), (19, 20, [19, 20])]


# When games began.


@pytest.fixture
def timed(monkeypatch):
    """A rollout whose clock shows 100, and one more after each step of the game."""
    clock = itertools.count(101)

    def made(kind, game, length):
        monkeypatch.setattr("broodmind.actors.rollout.now_ms", lambda: 100)
        rollout, step = make(kind, game, length), game.step

        def step_of_a_millisecond(actions):
            now = next(clock)
            monkeypatch.setattr("broodmind.actors.rollout.now_ms", lambda: now)
            return step(actions)

        game.step = step_of_a_millisecond
        return rollout

    return made


def test_a_piece_says_when_its_games_began_and_since_when_one_is_open(timed):
    (fragment,) = timed(StepRollout, two_columns(), 6).play(CountingPolicy())
    assert fragment.trajectory.episodes.began_ms == (100, 100, 102)
    assert fragment.open_since_ms == 104  # in column 1; column 0 has ended with the piece


def test_a_game_says_when_it_began_and_since_when_another_one_is_open(timed):
    fragments = play_games(timed(GameRollout, two_columns(), 10), 9)
    assert [fragment.trajectory.episodes.began_ms for _, fragment in fragments] == [
        (100,),
        (100,),
        (102,),
        (106,),
        (104,),
    ]
    assert [fragment.open_since_ms for _, fragment in fragments] == [100, 102, 104, 104, 109]


# Observations of bytes.


@pytest.mark.parametrize("kind", [StepRollout, GameRollout])
def test_observations_of_bytes_stay_bytes(kind):
    game = two_columns()
    game.spec = replace(game.spec, observation_dtype="uint8")
    step, reset = game.step, game.reset

    def in_bytes(made):
        return replace(made, observations=made.observations.astype(np.uint8))

    game.step, game.reset = lambda actions: in_bytes(step(actions)), lambda seed: in_bytes(reset(seed))
    rollout, fragments = make(kind, game, 6), []
    while not fragments:
        fragments = rollout.play(CountingPolicy())
    assert fragments[0].trajectory.observations.dtype == np.uint8
    assert_travels(fragments[0].trajectory, game, 6)


def test_a_game_that_should_report_wins_and_does_not_counts_as_lost():
    game = Script([(2, TERMINATED, True)])
    game.spec = replace(game.spec, wins=True)
    step = game.step
    game.step = lambda actions: replace(step(actions), wins=None)
    ((_, fragment),) = play_games(make(GameRollout, game, 3), 2)
    assert fragment.trajectory.episodes.wins == (False,)


@pytest.mark.parametrize(("unroll", "kind"), [("steps", StepRollout), ("games", GameRollout)])
def test_the_runs_spec_selects_the_kind_of_rollout(unroll, kind):
    game = Script([(2, TERMINATED, True)])
    spec = RunSpec(game.spec, rollout=RolloutSpec(unroll=unroll, fragment_length=5))
    assert type(make_rollout(game, spec, 1, np.random.default_rng(0))) is kind


class Rich(Script):
    """Its rewards are 1, 2, 3, ... millions."""

    def _step(self, rewards, endings):
        return super()._step(rewards * np.float32(1e6), endings)


@pytest.mark.parametrize("unroll", ["steps", "games"])
def test_returns_are_the_sums_of_the_rewards_as_the_game_gives_them_however_large(unroll):
    game = Rich([(2, TERMINATED, False)], [(3, TRUNCATED, False)])
    spec = RunSpec(game.spec, rollout=RolloutSpec(unroll, 6))
    rollout = make_rollout(game, spec, 1, np.random.default_rng(1))
    fragments = [each.trajectory for _ in range(12) for each in rollout.play(CountingPolicy())]
    assert max(each.rewards.max() for each in fragments) == 3e6
    assert {value for each in fragments for value in each.episodes.returns} == {3e6, 6e6}


class WithInfos(Script):
    """Its infos have the number of the game, times ten, plus the column."""

    def _step(self, rewards, endings):
        step = super()._step(rewards, endings)
        return replace(step, infos={"supply": self._game * 10.0 + np.arange(self.num_envs)})


@pytest.mark.parametrize("unroll", ["steps", "games"])
def test_own_metrics_are_those_of_the_games_that_ended_in_the_order_of_their_returns(unroll):
    game = WithInfos([(2, TERMINATED, False)], [(3, TRUNCATED, False)])
    spec = RunSpec(game.spec, rollout=RolloutSpec(unroll, 6))
    rollout = make_rollout(game, spec, 1, np.random.default_rng(1), InfoMetrics(["supply"]))
    fragments = [each for _ in range(12) for each in rollout.play(CountingPolicy())]
    episodes = sum((each.trajectory.episodes for each in fragments), Episodes())
    assert len(episodes) > 6
    own = [dict(each)["supply"] for each in episodes.metrics]
    games = {column: [int(value // 10) for value in own if value % 10 == column] for column in (0, 1)}
    assert games == {column: list(range(len(numbers))) for column, numbers in games.items()}
    lengths = {0: 2, 1: 3}
    assert list(episodes.lengths) == [lengths[int(value % 10)] for value in own]


def test_a_game_that_is_only_cut_off_has_no_own_metrics():
    """What the game says in the middle is not how it ended."""
    game = WithInfos([(9, TERMINATED, False)])
    spec = RunSpec(game.spec, rollout=RolloutSpec("games", 4))
    rollout = make_rollout(game, spec, 1, np.random.default_rng(1), InfoMetrics(["supply"]))
    cut = [each for _ in range(12) for each in rollout.play(CountingPolicy())]
    assert cut
    assert all(each.trajectory.episodes.metrics == () for each in cut)
