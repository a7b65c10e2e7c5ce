"""A two-player game as a game of one player: turns, rewards, observations, and the version in the fragment."""

from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest

from broodmind.actors.games.connect_four import COLUMNS, ConnectFour, has_line, lookahead
from broodmind.actors.games.opponent_pool import FixedOpponent, Opponent, OpponentPool
from broodmind.actors.games.registry import evaluation_games, make_game
from broodmind.actors.games.self_play import MAX_OPENING_MOVES, SelfPlay
from broodmind.actors.games.two_player_game import random_player
from broodmind.actors.inference.policy import Policy
from broodmind.actors.rollout import GamesInProgress, StepRollout
from broodmind.common.errors import ConfigError
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import NetworkSpec, RunSpec
from broodmind.common.wire.weights import Pointer

GAMES = 4  # columns 0 and 2 have the first move in their first game


WEIGHTS = np.array([1 << (7 * column + row) for row in range(6) for column in range(7)], np.uint64)


def always(column):
    return lambda observations, *_: np.full(len(observations), column, np.int32)


def against(player):
    game = SelfPlay(ConnectFour(GAMES), ("somebody", player))
    return game, game.reset(0)


def spread(turn):
    """Moves that never make a line."""
    return np.full(GAMES, (0, 1, 2, 0)[turn % 4])


def untrained(version, seed=0):
    spec = RunSpec(SelfPlay(ConnectFour(1)).spec, NetworkSpec((8,)))
    return Policy(
        Pointer(1, version, "c", "d", 0), initial_params(spec.network, spec.game, np.random.default_rng(seed)), spec
    )


def test_every_second_column_moves_first_and_the_others_see_one_stone():
    _, start = against(always(6))
    assert start.observations[:, 0].sum(axis=(1, 2)).tolist() == [0, 0, 0, 0]
    assert start.observations[:, 1].sum(axis=(1, 2)).tolist() == [0, 1, 0, 1]
    assert not (start.terminated | start.truncated | start.wins).any()


def test_our_four_in_a_line_is_a_reward_of_one_as_either_player():
    """The opponent, moving first or second, has made no line by then."""
    columns = iter((6, 5, 6, 5, 6))
    game, _ = against(lambda observations, *_: np.full(len(observations), next(columns)))
    steps = [game.step(np.full(GAMES, 0)) for _ in range(4)]
    for step in steps[:3]:
        assert not step.terminated.any()
        assert not step.rewards.any()
        assert not step.wins.any()
    assert steps[3].terminated.all()
    assert steps[3].rewards.tolist() == [1] * GAMES
    assert steps[3].wins.all()


def test_the_opponents_four_in_a_line_is_a_reward_of_minus_one_as_either_player():
    """Where the opponent moves first it is there one step sooner."""
    game, _ = against(always(6))
    steps = [game.step(spread(turn)) for turn in range(4)]
    assert [step.terminated.tolist() for step in steps[:2]] == [[False] * GAMES] * 2
    assert steps[2].terminated.tolist() == [False, True, False, True]
    assert steps[2].rewards.tolist() == [0, -1, 0, -1]
    assert steps[3].terminated.tolist() == [True, False, True, False]
    assert steps[3].rewards.tolist() == [-1, 0, -1, 0]
    assert not any(step.wins.any() or step.truncated.any() for step in steps)


def test_the_final_observation_shows_the_line_and_the_next_step_starts_a_game_as_the_other_player():
    game, _ = against(always(6))
    for turn in range(3):
        last = game.step(spread(turn))
    assert last.observations[[1, 3], 1, :, 6].sum(axis=1).tolist() == [4, 4]
    assert last.masks[[1, 3]].all()  # its action is ignored: any will do
    after = game.step(spread(3))  # begins two games, in which we move first now, and ends the other two
    assert after.rewards.tolist() == [-1, 0, -1, 0]
    assert not after.observations[[1, 3], :2].any()
    begun = game.step(np.full(GAMES, 3))
    assert begun.observations[:, :2].sum(axis=(2, 3)).tolist() == [[0, 1], [1, 1], [0, 1], [1, 1]]


def test_self_play_games_begin_with_random_moves_and_then_our_turn():
    game = SelfPlay(ConnectFour(2000))
    start = game.reset(0)
    stones = start.observations[:, :2].sum(axis=(1, 2, 3)).astype(int)
    assert set(range(MAX_OPENING_MOVES + 1)) <= set(stones)
    assert stones.max() == MAX_OPENING_MOVES + 1  # with the opponent's answer
    for player in (0, 1):
        lines = start.observations[:, player].reshape(2000, -1).astype(np.uint64) @ WEIGHTS
        assert not has_line(lines).any()
    first = stones % 2 == 0
    own, other = start.observations[:, :2].sum(axis=(2, 3)).T
    np.testing.assert_array_equal(own + ~first, other)
    np.testing.assert_array_equal(first, np.arange(2000) % 2 == 0)
    assert len(np.unique(start.observations, axis=0)) > 1000


def test_games_against_a_fixed_player_begin_without_random_moves():
    game = SelfPlay(ConnectFour(200), ("random", random_player(ConnectFour.spec)))
    assert set(game.reset(0).observations[:, :2].sum(axis=(1, 2, 3))) == {0, 1}


def test_a_game_never_ends_in_the_step_that_begins_it():
    """Where the random moves leave the opponent a win at once, another game begins."""
    game = SelfPlay(ConnectFour(500))
    step, rng = game.reset(0), np.random.default_rng(0)
    game.opponents.draw = lambda count: [Opponent("strong", lookahead)] * count
    begun = 0
    for _ in range(60):
        ended = step.terminated
        step = game.step((step.masks + rng.random(step.masks.shape)).argmax(axis=1))
        assert not (step.terminated & ended).any()
        assert not step.rewards[ended].any()
        begun += ended.sum()
    assert begun > 1000


def test_both_sides_see_their_own_stones_first_and_only_what_is_allowed_to_them():
    seen = []

    def watching(observations, masks, rng):
        seen.append((observations.copy(), masks.copy()))
        return masks.argmax(axis=1)

    game, step = against(watching)
    rng = np.random.default_rng(0)
    over = np.zeros(GAMES, bool)
    for _ in range(60):
        stones = step.observations[:, :2].sum(axis=(2, 3))
        assert ((stones[:, 0] == stones[:, 1]) | (stones[:, 0] + 1 == stones[:, 1]) | over).all()
        np.testing.assert_array_equal(step.masks[~over], step.observations[:, :2].sum(axis=1)[~over, -1] == 0)
        step = game.step((step.masks + rng.random(step.masks.shape)).argmax(axis=1))
        over = step.terminated
    for observations, masks in seen:
        stones = observations[:, :2].sum(axis=(2, 3))
        assert ((stones[:, 0] == stones[:, 1]) | (stones[:, 0] + 1 == stones[:, 1])).all()
        np.testing.assert_array_equal(masks, observations[:, :2].sum(axis=1)[:, -1] == 0)


def test_the_same_seed_and_actions_give_the_same_games():
    def played(seed):
        game = SelfPlay(ConnectFour(8))
        step = game.reset(seed)
        game.opponents.on_policy(untrained(1))
        steps = [step]
        for _ in range(50):
            steps.append(game.step(steps[-1].masks.argmax(axis=1)))
        return np.stack([step.observations for step in steps])

    np.testing.assert_array_equal(played(3), played(3))
    assert (played(3) != played(4)).any()


def test_a_fragment_is_labelled_with_our_own_version_for_every_opponent():
    game = SelfPlay(ConnectFour(8))
    rollout = StepRollout(GamesInProgress(game, 0, np.random.default_rng(0)), 40)
    for version in (1, 2, 9):
        policy = untrained(version, seed=version)
        game.opponents.on_policy(policy)
        (fragment,) = rollout.play(policy)
        assert [each.version for each in fragment.played_with] == [version] * 2
        assert set(np.unique(fragment.trajectory.rewards)) <= {-1.0, 0.0, 1.0}
        expected = policy.distribution(
            fragment.trajectory.observations[:-1].reshape(-1, 6, 6, 7), fragment.trajectory.masks.reshape(-1, COLUMNS)
        ).log_prob(fragment.trajectory.actions.ravel())
        np.testing.assert_allclose(fragment.trajectory.log_probs.ravel(), expected, rtol=1e-4)
    assert any(fragment.trajectory.episodes.wins)
    assert isinstance(game.opponents, OpponentPool)
    assert {opponent.name for opponent in game.opponents.past} == {"1-1", "1-2", "1-9"}


def test_each_games_result_is_recorded_for_the_opponent_who_played_it(monkeypatch):
    """The opponents of the odd columns move first, so that their line of four is there before ours."""
    opponents = [Opponent(str(column), always(column if column == 2 else 6)) for column in range(GAMES)]
    noted: list[tuple[Opponent, float]] = []
    monkeypatch.setattr(FixedOpponent, "draw", lambda _, count: (opponents * 2)[-count:])
    monkeypatch.setattr(FixedOpponent, "record", lambda _, opponent, score: noted.append((opponent, score)))
    game = SelfPlay(ConnectFour(GAMES), ("one of four", always(0)))
    game.reset(0)
    for _ in range(4):
        game.step(np.array([0, 1, 2, 3]))
    assert noted == [(opponents[1], 0.0), (opponents[3], 0.0), (opponents[0], 1.0)]


def test_an_opponent_chooses_all_actions_of_a_step_in_one_call():
    asked = []

    def play(observations, masks, rng):
        asked.append(len(observations))
        return masks.argmax(axis=1)

    game, _ = against(play)
    assert asked == [2]
    game.step(np.full(GAMES, 3))
    assert asked == [2, 4]


def test_a_two_player_game_is_made_by_name_with_and_without_a_fixed_opponent():
    for name, kind in (("ConnectFour", OpponentPool), ("ConnectFour@lookahead", FixedOpponent)):
        game = make_game(name, 2)
        assert isinstance(game, SelfPlay)
        assert isinstance(game.opponents, kind)
    assert make_game("ConnectFour@random", 2).spec == make_game("ConnectFour", 2).spec
    assert make_game("ConnectFour", 2).spec.wins
    assert evaluation_games("ConnectFour") == ["ConnectFour@random", "ConnectFour@lookahead"]
    assert evaluation_games("ConnectFour@lookahead") == ["ConnectFour@lookahead"]
    assert evaluation_games("TinyZerg") == ["TinyZerg"]


def _factory(num_envs):
    return ConnectFour(num_envs)


class OldConnectFour:
    """A user's own game, written for the interface of 0.1."""

    def __init__(self, num_envs):
        self._game = ConnectFour(num_envs)
        self.spec, self.num_envs, self.players = self._game.spec, num_envs, {"lookahead": lookahead}

    @property
    def movers(self):
        return self._game.current_players

    def reset(self, seed):
        self._game.reset(seed)

    def begin(self, games):
        self._game.reset_games(games)

    def observe(self, seats):
        return self._game.observe(seats)

    def allowed(self):
        return self._game.action_masks()

    def play(self, actions, games):
        return self._game.step(actions, games)

    def close(self):
        self._game.close()


def test_a_game_with_the_methods_of_0_1_plays_as_before_and_warns(monkeypatch):
    monkeypatch.setattr("importlib.import_module", lambda _: SimpleNamespace(make=OldConnectFour))
    with pytest.warns(DeprecationWarning, match=r"OldConnectFour .* use the methods of broodmind.TwoPlayerGame"):
        old = make_game("mine:make", 8)
    new = make_game("ConnectFour", 8)
    step, expected = old.reset(3), new.reset(3)
    rng = np.random.default_rng(0)
    for _ in range(60):
        assert_same_step(step, expected)
        actions = (expected.masks + rng.random(expected.masks.shape)).argmax(axis=1)
        step, expected = old.step(actions), new.step(actions)
    old.close()
    with pytest.warns(DeprecationWarning, match="OldConnectFour"):
        assert evaluation_games("mine:make") == ["mine:make@random", "mine:make@lookahead"]


def assert_same_step(one, other):
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_a_users_own_two_player_game_is_wrapped(monkeypatch):
    module = SimpleNamespace(make=_factory)
    monkeypatch.setattr("importlib.import_module", lambda _: module)
    game = make_game("mine:make", 3)
    assert isinstance(game, SelfPlay)
    assert game.num_envs == 3
    assert evaluation_games("mine:make") == ["mine:make@random", "mine:make@lookahead"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("ConnectFour@nobody", "random, lookahead"), ("TinyZerg@random", "not a two-player game")],
)
def test_an_unknown_player_is_an_error(name, message):
    with pytest.raises(ConfigError, match=message):
        make_game(name, 1)
