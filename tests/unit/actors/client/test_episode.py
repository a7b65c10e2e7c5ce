"""Episodes: what they record against what a rollout of the same play records, and what they do with what is wrong."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from support.runs import make_header

from broodmind.actors.client.episode import Episode, ErrorPolicy
from broodmind.actors.client.episode_buffer import EpisodeBuffer, EpisodeEnd, RecordedGame, max_steps
from broodmind.actors.client.episode_record import EpisodeRecord
from broodmind.actors.client.packing import to_trajectory
from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.actors.inference.policy import Policy
from broodmind.actors.rollout import GameRollout, GamesInProgress, StepRollout
from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.errors import ConfigError
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import GameSpec, NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.entry_header import Episodes
from broodmind.common.wire.trajectory import MAX_COLUMNS, decode_trajectory, encode_trajectory
from broodmind.common.wire.weights import Pointer

TOY = GameSpec("toy", (3,), Discrete(4), wins=True)
SEEN = [0.1, 0.2, 0.3]
POINTER = Pointer(1, 3, "commit", "digest", 1)


def run_spec(game=TOY, unroll="steps", length=8):
    return RunSpec(game, NetworkSpec(hidden=(8,), activation="relu"), RolloutSpec(unroll, length))


def policy_of(spec, version=3):
    params = initial_params(spec.network, spec.game, np.random.default_rng(1))
    return Policy(Pointer(1, version, "commit", "digest", 1), params, spec)


class Table:
    """Where episodes leave what they have; plays 2 where there is no policy."""

    def __init__(self, spec=None, *, strict=True):
        self.left = []
        self.policy = policy_of(spec) if spec else None
        self.error_policy = ErrorPolicy()
        if not strict:
            self.error_policy.game_ended("an earlier one")

    def begin(self, seed=5, rng=None, newest=None, **labels):
        rng = rng or np.random.default_rng(seed)
        take = lambda _, ended: self.left.append(ended)  # noqa: E731
        return Episode("a-1", labels, self.policy, lambda *_: 2, rng, self.error_policy, take, newest=newest)

    @property
    def record(self):
        (ended,) = self.left
        return ended.record

    def trajectory(self):
        (ended,) = self.left
        return to_trajectory([ended.game])


# What is recorded.


def play_tinyzerg(table, games, seed=11):
    """Whole games through episodes, the rng of one going on in the next, as a rollout's does."""
    game, rng = TinyZerg(1), np.random.default_rng(5)
    step = game.reset(seed)
    for _ in range(games):
        episode = table.begin(rng=rng)
        while not episode.over:
            step = game.step(np.array([episode.act(step.observations[0])]))
            episode.reward(step.rewards[0])
            if step.terminated[0]:
                episode.end("win" if step.wins[0] else "loss", observation=step.observations[0])
            elif step.truncated[0]:
                episode.end("truncated", observation=step.observations[0])
        rng.random()  # a rollout draws an action for the step that only resets
        step = game.step(np.array([0]))


def trajectories(table):
    return [to_trajectory([ended.game]) for ended in table.left]


FIELDS = ("observations", "actions", "log_probs", "rewards", "terminated", "truncated", "valid")


def test_whole_games_equal_those_of_a_rollout_with_the_same_steps():
    table = Table(run_spec(TinyZerg.spec, "games", 200))
    rollout = GameRollout(GamesInProgress(TinyZerg(1), 11, np.random.default_rng(5)), 200)
    play_tinyzerg(table, 5)
    fragments = []
    while len(fragments) < 5:
        fragments += rollout.play(table.policy)
    for ours, fragment in zip(trajectories(table), fragments, strict=True):
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(ours, name), getattr(fragment.trajectory, name), name)
            assert getattr(ours, name).dtype == getattr(fragment.trajectory, name).dtype, name
        assert replace(ours.episodes, began_ms=()) == replace(fragment.trajectory.episodes, began_ms=())


def test_fragments_in_columns_equal_those_of_a_rollout_with_the_same_steps():
    """Each column of ours is the rollout's play from its first step on, up to and with the step after the end."""
    length = 8
    table = Table(run_spec(TinyZerg.spec, "steps", length))
    play_tinyzerg(table, 4)
    rollout = StepRollout(GamesInProgress(TinyZerg(1), 11, np.random.default_rng(5)), 2000)
    (whole,) = rollout.play(table.policy)
    reference, first = whole.trajectory, 0
    for index, ours in enumerate(trajectories(table)):
        steps = ours.episodes.lengths[0]
        assert ours.valid.shape == (length, math.ceil(steps / length))
        for column in range(ours.valid.shape[1]):
            start = first + length * column
            valid = min(length, steps - length * column)
            assert ours.valid[:, column].tolist() == [True] * valid + [False] * (length - valid)
            for name in FIELDS[1:]:
                np.testing.assert_array_equal(
                    getattr(ours, name)[:valid, column], getattr(reference, name)[start : start + valid, 0], name
                )
            np.testing.assert_array_equal(
                ours.observations[: valid + 1, column], reference.observations[start : start + valid + 1, 0]
            )
        for name in ("returns", "lengths", "wins"):
            assert getattr(ours.episodes, name) == getattr(reference.episodes, name)[index : index + 1], name
        first += steps + 1


@pytest.mark.parametrize("unroll", ["steps", "games"])
@pytest.mark.parametrize("steps", [1, 7, 8, 9, 16, 17])
@pytest.mark.parametrize(
    "game", [TOY, replace(TOY, masked=True), replace(TOY, actions=MultiDiscrete((2, 3)), masked=True)]
)
def test_a_game_of_any_length_is_accepted_by_the_learner(unroll, steps, game):
    spec = run_spec(game, unroll)
    table = Table(spec)
    with table.begin() as episode:
        for _ in range(steps):
            episode.act(SEEN)
            episode.reward(1)
        episode.end("tie")
    trajectory = table.trajectory()
    recorded = steps if unroll == "steps" else min(steps, 8)
    assert (trajectory.steps, trajectory.games) == (recorded, 1)
    header = make_header(3, 1, trajectory.steps, trajectory.episodes, 1)
    decode_trajectory(encode_trajectory(trajectory, "a", spec), header, "a", spec)


def test_continuous_actions_are_recorded_as_sampled_and_clipped_for_the_game():
    spec = run_spec(replace(TOY, actions=Box((-2.0, 0.0), (2.0, 10.0))))
    table = Table(spec)
    episode = table.begin()
    moves = np.array([episode.act(SEEN) for _ in range(200)])
    episode.end("loss")
    drawn = np.stack(table.left[0].game.buffer.actions)
    assert np.abs(drawn).max() > 1
    clipped = np.clip(drawn, -1, 1).astype(np.float64)
    np.testing.assert_allclose(moves, np.array([-2, 0]) + (clipped + 1) / 2 * np.array([4, 10]), atol=1e-12)


def test_correlated_noise_is_used_if_the_run_says_so_and_restarts_with_each_game():
    spec = run_spec(replace(TOY, actions=Box((-1.0,), (1.0,))))
    lasting = Table(replace(spec, rollout=replace(spec.rollout, noise_correlation=0.99)))
    for table, correlated in ((Table(spec), False), (lasting, True)):
        episodes = [table.begin(seed) for seed in range(2)]
        for _ in range(500):
            for episode in episodes:
                episode.act(SEEN)
        for episode in episodes:
            episode.end("loss")
        drawn = [np.stack(ended.game.buffer.actions)[:, 0] for ended in table.left]
        assert all((np.corrcoef(one[1:], one[:-1])[0, 1] > 0.8) == correlated for one in drawn)
        assert drawn[0][0] != drawn[1][0]


def test_a_reward_belongs_to_the_action_before_it():
    table = Table(run_spec())
    episode = table.begin()
    episode.reward(100)  # nothing was done yet to earn it
    episode.act(SEEN)
    episode.reward(1)
    episode.reward(0.5)
    episode.act(SEEN)
    episode.act(SEEN)
    episode.end("win", reward=4)
    assert table.trajectory().rewards[:, 0].tolist() == [1.5, 0, 4]
    assert table.trajectory().episodes.returns == (5.5,)
    assert table.record.total_reward == 5.5


@pytest.mark.parametrize(
    ("outcome", "terminated", "won"),
    [("win", True, True), ("loss", True, False), ("tie", True, False), ("truncated", False, False)],
)
def test_each_outcome_sets_termination_or_truncation_and_win(outcome, terminated, won):
    table = Table(run_spec())
    episode = table.begin()
    episode.act(SEEN)
    episode.end(outcome)
    trajectory = table.trajectory()
    assert trajectory.terminated.tolist() == [[terminated]]
    assert trajectory.truncated.tolist() == [[not terminated]]
    assert trajectory.episodes.wins == (won,)
    assert (table.record.outcome, table.record.trained_on, table.record.version) == (outcome, True, 3)


def test_a_truncated_game_ends_with_its_final_observation_or_else_the_last_one():
    for given, expected in ((None, 1), ([9, 9, 9], 9)):
        table = Table(run_spec())
        episode = table.begin()
        episode.act([0, 0, 0])
        episode.act([1, 1, 1])
        episode.end("truncated", observation=given)
        assert table.trajectory().observations[:, 0, 0].tolist() == [0, 1, expected]


def test_a_game_that_is_too_long_is_truncated_and_continues_unrecorded():
    table = Table(run_spec(unroll="games", length=4))
    episode = table.begin()
    for step in range(9):
        episode.act([step] * 3)
        episode.reward(1)
    episode.end("win")
    trajectory = table.trajectory()
    assert trajectory.observations[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert trajectory.truncated[:, 0].tolist() == [False] * 3 + [True]
    assert not trajectory.terminated.any()
    assert trajectory.episodes == Episodes((4.0,), (4,), (table.record.started_ms,), (False,))
    assert (table.record.outcome, table.record.steps, table.record.total_reward) == ("win", 9, 9)


def test_the_longest_game_fits_into_one_entry():
    assert max_steps(run_spec(unroll="games", length=100)) == 100
    assert max_steps(run_spec(unroll="steps", length=2)) == 2 * MAX_COLUMNS
    pixels = run_spec(replace(TOY, observation_shape=(84, 84, 4)), "games", 4096)
    assert max_steps(pixels) < 4096
    steps = max_steps(run_spec(replace(TOY, observation_shape=(84, 84, 40)), "steps", 1))
    game = replace(TOY, observation_shape=(84, 84, 40))
    buffer = EpisodeBuffer()
    for _ in range(steps):
        buffer.add(np.zeros((84, 84, 40), np.float32), np.int32(0), np.float32(-1), None, POINTER)
    spec = run_spec(game, "steps", 1)
    end = EpisodeEnd(np.zeros((84, 84, 40), np.float32), terminated=True, won=False)
    trajectory = to_trajectory([RecordedGame("a-1", buffer, end, 1, spec)])
    header = make_header(3, 1, steps, trajectory.episodes, 1)
    decode_trajectory(encode_trajectory(trajectory, "a", spec), header, "a", spec)


def test_the_observation_is_copied():
    table, same = Table(run_spec()), np.zeros(3, np.float32)
    episode = table.begin()
    for step in range(3):
        same[:] = step
        episode.act(same)
    episode.end("loss")
    assert table.trajectory().observations[:3, 0, 0].tolist() == [0, 1, 2]


# Newer versions in mid-game.


def test_a_game_that_may_take_up_newer_versions_tells_which_played_each_step():
    spec = run_spec()
    table = Table(spec)
    newest = [policy_of(spec, 3), policy_of(spec, 3), policy_of(spec, 5), policy_of(spec, 5), policy_of(spec, 6)]
    known = iter([*newest, None])  # where nothing is known for a moment, it goes on with what it has
    episode = table.begin(newest=lambda: next(known))
    for version in (3, 3, 5, 5, 6, 6):
        episode.act(SEEN)
        assert episode.version == version
    episode.end("win")
    (ended,) = table.left
    assert [(first, pointer.version) for first, pointer in ended.game.buffer.versions] == [(0, 3), (2, 5), (4, 6)]
    assert table.trajectory().version_offsets[:6, 0].tolist() == [0, 0, 2, 2, 3, 3]
    assert table.record.version == 6


def test_a_newer_version_decides_as_it_would_from_the_beginning():
    spec = run_spec()
    table, other = Table(spec), policy_of(spec, 4)
    other.params["policy/b1"][:] = [0, 0, 50, 0]
    episode = table.begin(newest=lambda: other)
    assert [episode.act(SEEN) for _ in range(9)] == [2] * 9


@pytest.mark.parametrize("other", ["epoch", "spec"])
def test_no_game_goes_on_with_a_version_of_another_lineage_or_run(other):
    spec = run_spec()
    table = Table(spec)
    newest = policy_of(spec if other == "epoch" else run_spec(length=9), 9)
    if other == "epoch":
        newest.pointer = replace(newest.pointer, epoch=2)
    episode = table.begin(newest=lambda: newest)
    episode.act(SEEN)
    assert episode.version == 3


def test_by_default_one_version_plays_the_whole_game():
    table = Table(run_spec())
    episode = table.begin()
    table.policy = policy_of(run_spec(), 9)
    episode.act(SEEN)
    assert episode.version == 3


# What is not trained on.


def test_an_episode_left_by_an_exception_is_aborted_and_not_lost():
    table = Table(run_spec())

    def crash():
        with table.begin(map="m") as episode:
            episode.act(SEEN)
            raise RuntimeError("SC2 died")

    with pytest.raises(RuntimeError):
        crash()
    assert table.left[0].game is None
    assert (table.record.outcome, table.record.reason) == ("aborted", "RuntimeError('SC2 died')")
    assert json.loads(table.record.to_json())["labels"] == {"map": "m"}


def test_an_episode_that_is_left_without_end_is_aborted():
    table = Table(run_spec())
    with table.begin() as episode:
        episode.act(SEEN)
    assert (table.record.outcome, table.record.reason) == ("aborted", "left without an end")
    assert table.left[0].game is None


def test_a_game_without_a_policy_is_played_by_the_fallback_and_not_trained_on():
    table = Table()
    with table.begin() as episode:
        assert [episode.act(SEEN), episode.act("whatever")] == [2, 2]
        episode.reward(1)
        episode.end("win")
    assert table.record == EpisodeRecord(
        id="a-1",
        labels={},
        epoch=0,
        version=0,
        outcome="win",
        reason="played without a policy",
        started_ms=table.record.started_ms,
        duration_s=table.record.duration_s,
        steps=2,
        total_reward=1.0,
        trained_on=False,
    )
    assert table.error_policy.is_strict()


def test_a_game_without_an_action_is_not_trained_on():
    table = Table(run_spec())
    table.begin().end("win")
    assert (table.record.outcome, table.record.trained_on) == ("win", False)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda game: game.act([0, math.nan, 0]), "observation: nan at [1], expected finite numbers"),
        (lambda game: game.act([0, 0, 1e300]), "observation: inf at [2], expected finite numbers"),
        (lambda game: game.act([3e38] * 3), "more than the policy can take"),
        (lambda game: game.reward(math.nan), "reward: nan, expected at most 1e+09 either way"),
        (lambda game: game.reward(-math.inf), "reward: -inf, expected"),
        (lambda game: game.reward(1e10), "reward: 1e+10, expected"),
    ],
)
def test_unusable_numbers_exclude_the_episode_from_training_while_the_game_continues(spoil, reason, strict):
    table = Table(run_spec(), strict=strict)
    table.policy.params["policy/w0"][:] = 2  # three of the largest numbers have no sum
    with table.begin() as episode:
        episode.act(SEEN)
        spoil(episode)
        assert 0 <= episode.act(SEEN) < 4
        episode.end("win")
    assert table.record.outcome == "aborted"
    assert reason in table.record.reason
    assert table.left[0].game is None


def test_a_mask_that_allows_nothing_excludes_the_episode_from_training():
    table = Table(run_spec(replace(TOY, masked=True)))
    with table.begin() as episode:
        assert episode.act(SEEN, [False] * 4) == 2
        episode.end("win")
    assert table.record.reason == "mask: allows no action, expected at least one"


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([True] * 3, r"mask: shape \(3,\), expected \(4,\)"),
        ([[True], [True, False]], r"mask: list \(.*, expected 4 boo"),
    ],
)
def test_an_invalid_mask_is_an_error(mask, message):
    table = Table(run_spec(replace(TOY, masked=True)))
    with pytest.raises(ConfigError, match=message):
        table.begin().act(SEEN, mask)


@pytest.mark.parametrize("strict", [True, False])
def test_a_final_observation_that_is_not_finite_excludes_the_episode_from_training_without_raising(strict):
    table = Table(run_spec(), strict=strict)
    episode = table.begin()
    episode.act(SEEN)
    episode.end("truncated", observation=[0, math.inf, 0])
    assert table.record.outcome == "aborted"
    assert table.record.reason == "observation: inf at [1], expected finite numbers"


def test_only_allowed_actions_are_played():
    table = Table(run_spec(replace(TOY, masked=True)))
    episode = table.begin()
    assert {episode.act(SEEN, [False, False, True, False]) for _ in range(20)} == {2}


@pytest.mark.parametrize(
    ("fit", "shown", "taken"),
    [("pad", [3.0], [3, 0, 0]), ("pad", [3.0, 4, 5, 6], [3, 4, 5]), ("cut", [3.0, 4, 5, 6], [3, 4, 5])],
)
def test_observations_of_another_length_are_resized_if_the_run_says_so(fit, shown, taken):
    spec = run_spec()
    table = Table(replace(spec, rollout=replace(spec.rollout, observation_fit=fit)))
    episode = table.begin()
    episode.act(shown)
    episode.end("truncated", observation=shown)
    np.testing.assert_array_equal(table.trajectory().observations[:2, 0], [taken, taken])


BYTES = replace(TOY, observation_dtype="uint8")


@pytest.mark.parametrize(
    "shown",
    [[0, 7, 255], [0.0, 7.0, 255.0], np.array([0, 7, 255], np.uint8), np.array([0, 7, 255]), (False, 7, np.int64(255))],
)
def test_whole_numbers_up_to_255_are_taken_as_bytes_where_the_run_has_such(shown):
    table = Table(run_spec(BYTES))
    episode = table.begin()
    episode.act(shown)
    episode.end("truncated", observation=shown)
    observations = table.trajectory().observations
    assert observations.dtype == np.uint8
    assert observations[:2, 0].tolist() == [[0, 7, 255]] * 2


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ([0, 1, 256], "0 to 256"),
        ([-1, 0, 1], "-1 to 1"),
        ([0.5, 1, 2], "0.5 to 2"),
        (np.array([0, 1, 300]), "0 to 300"),
        (np.array([-1, 0, 1], np.int8), "-1 to 1"),
    ],
)
def test_other_numbers_are_a_mistake_where_the_run_has_bytes(shown, found):
    with pytest.raises(ConfigError, match=f"^observation: {found}, expected whole numbers from 0 to 255$"):
        Table(run_spec(BYTES)).begin().act(shown)


def test_bytes_are_made_to_fit_and_copied():
    spec, same = run_spec(BYTES), np.array([1, 2], np.uint8)
    table = Table(replace(spec, rollout=replace(spec.rollout, observation_fit="pad")))
    episode = table.begin()
    episode.act(same)
    same[:] = 9
    episode.act(np.zeros(3, np.uint8))
    episode.end("loss")
    observations = table.trajectory().observations
    assert (observations.dtype, observations[0, 0].tolist()) == (np.uint8, [1, 2, 0])


def test_an_observation_too_short_to_be_cut_is_an_error():
    spec = run_spec()
    table = Table(replace(spec, rollout=replace(spec.rollout, observation_fit="cut")))
    with pytest.raises(ConfigError, match=r"observation: 2 features, expected 3 \(--observation-fit pad"):
        table.begin().act([1, 2])


MISTAKES = [
    (lambda game: game.act([1, 2]), "observation: shape (2,), expected (3,)"),
    (lambda game: game.act("lots"), "observation: str"),
    (lambda game: game.act([[1, 2], [3]]), "observation: list"),
    (lambda game: game.act(SEEN, [True] * 4), "mask: given, expected none"),
    (lambda game: game.reward("much"), "reward: 'much', expected a number"),
    (lambda game: game.end("victory"), "outcome: 'victory', expected one of win, loss, tie, truncated"),
    (lambda game: game.end("truncated", observation=[1]), "observation: shape (1,), expected (3,)"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_a_calling_error_in_the_first_game_raises(mistake, message):
    table = Table(run_spec())

    def play():
        with table.begin() as episode:
            episode.act(SEEN)
            mistake(episode)

    with pytest.raises(ConfigError) as raised:
        play()
    assert message in str(raised.value)
    assert table.record.outcome == "aborted"


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_a_calling_error_in_a_later_game_only_excludes_it_from_training(mistake, message):
    table = Table(run_spec())
    with table.begin() as episode:
        episode.act(SEEN)
        episode.end("win")
    table.left.clear()
    with table.begin() as episode:
        episode.act(SEEN)
        mistake(episode)
        assert isinstance(episode.act(SEEN), int)
        if not episode.over:
            episode.end("win")
    assert table.record.outcome == "aborted"
    assert message in table.record.reason


@pytest.mark.parametrize("late", [lambda game: game.act(SEEN), lambda game: game.end("loss")])
def test_calls_after_the_end_of_an_episode_are_errors(late):
    table = Table(run_spec())
    first, second = table.begin(), table.begin()
    for episode in (first, second):
        episode.act(SEEN)
        episode.end("win")
    for _ in range(2):
        with pytest.raises(ConfigError, match="end of the game"):
            late(first)
        late(second)  # not the first game any more
    assert [(ended.record.outcome, ended.record.steps) for ended in table.left] == [("win", 1), ("win", 1)]


def test_an_act_after_the_end_of_a_game_without_a_policy_is_an_error_too():
    episode = Table().begin()
    episode.end("win")
    with pytest.raises(ConfigError, match="act: called after the end of the game"):
        episode.act(SEEN)


# The game's own metrics.


def test_a_game_counts_with_the_mean_of_what_was_logged_in_it():
    table = Table(run_spec())
    with table.begin() as game:
        game.act(SEEN)
        for supply in (12, 14.5, np.float32(15.5)):
            game.log("supply", supply)
        game.log("scouted", True)
        game.end("win")
    assert table.trajectory().episodes.metrics == ((("scouted", 1.0), ("supply", 14.0)),)


def test_games_that_logged_nothing_have_none():
    table = Table(run_spec())
    with table.begin() as game:
        game.act(SEEN)
        game.end("win")
    assert table.trajectory().episodes.metrics == ()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("a b", 1, "metric: 'a b', expected a name"),
        ("supply", float("nan"), "metric supply: nan, expected a finite number"),
        ("supply", "many", "metric supply: 'many', expected a number"),
        ("supply", None, "metric supply: None, expected a number"),
    ],
)
def test_a_wrong_metric_raises_at_once_and_costs_no_game(name, value, problem, caplog):
    table = Table(run_spec())
    game = table.begin()
    game.act(SEEN)
    with pytest.raises(ConfigError, match=problem):
        game.log(name, value)
    game.end("win")
    assert table.trajectory().episodes.metrics == ()
    later = table.begin()
    later.act(SEEN)
    later.log(name, value)  # a bot that has played a whole game does not crash in a later one
    later.end("win")
    assert problem in caplog.text
    assert table.left[-1].record.trained_on


def test_a_game_has_so_many_names():
    table = Table(run_spec())
    game = table.begin()
    for number in range(32):
        game.log(f"n{number}", 1)
    game.log("n0", 3)  # no new one
    with pytest.raises(ConfigError, match="metric n32: one more name, expected at most 32 in a game"):
        game.log("n32", 1)


def test_after_its_end_a_game_logs_nothing():
    table = Table(run_spec())
    game = table.begin()
    game.abort("over")
    with pytest.raises(ConfigError, match="logged after the end of the game"):
        game.log("supply", 1)
