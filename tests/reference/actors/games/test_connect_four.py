"""Connect four against OpenSpiel's, position by position."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from broodmind.actors.games.connect_four import COLUMNS, ROWS, ConnectFour, lookahead

with contextlib.suppress(ModuleNotFoundError):  # tests/conftest.py says so, where one of these tests is to run
    import pyspiel

pytestmark = pytest.mark.reference

GAMES = 500


def spiel_planes(state, player):
    """OpenSpiel's planes, [player 0's, player 1's, empty], as that player sees them."""
    planes = np.array(state.observation_tensor(player), np.float32).reshape(3, ROWS, COLUMNS)
    return planes[[player, 1 - player]]


def random_positions(rng, games=GAMES):
    """Every position of random games: ours, and OpenSpiel's of the same moves, which go on beside each other."""
    ours, game = ConnectFour(games), pyspiel.load_game("connect_four")
    ours.reset(0)
    theirs = [game.new_initial_state() for _ in range(games)]
    going = np.ones(games, bool)
    while going.any():
        yield ours, theirs, going
        actions = (ours.action_masks() + rng.random((games, COLUMNS))).argmax(axis=1)
        ended, scores = ours.step(actions, going)
        for column in np.flatnonzero(going):
            theirs[column].apply_action(int(actions[column]))
            assert ended[column] == theirs[column].is_terminal()
            assert scores[column] == (theirs[column].returns()[0] if ended[column] else 0)
        assert not (ended & ~going).any()
        going = going & ~ended


@pytest.mark.parametrize("seed", range(6))
def test_current_players_masks_observations_and_results_are_those_of_openspiel(seed):
    """Three thousand games; random ones end in a draw now and then."""
    for ours, theirs, going in random_positions(np.random.default_rng(seed)):
        current_players, masks = ours.current_players, ours.action_masks()
        seen = [ours.observe(np.full(GAMES, player)) for player in (0, 1)]
        for column in np.flatnonzero(going):
            state = theirs[column]
            assert current_players[column] == state.current_player()
            assert np.flatnonzero(masks[column]).tolist() == state.legal_actions()
            for player in (0, 1):
                np.testing.assert_array_equal(seen[player][column, :2], spiel_planes(state, player))


def completes_a_line(stones, row, column):
    """By walking over the board: whether a stone on this square would make four of `stones` [rows, columns]."""
    for step_up, step_right in ((1, 0), (0, 1), (1, 1), (1, -1)):
        for first in range(-3, 1):
            squares = [(row + k * step_up, column + k * step_right) for k in range(first, first + 4) if k]
            if all(0 <= up < ROWS and 0 <= right < COLUMNS and stones[up, right] for up, right in squares):
                return True
    return False


def falls_to(occupied, column):
    return int(occupied[:, column].sum())


def test_threats_are_the_free_squares_that_complete_a_line():
    """Every square of random positions; and which of them a stone can fall to."""
    found = 0
    for ours, theirs, going in random_positions(np.random.default_rng(3), games=20):
        seen = ours.observe(ours.current_players)
        for column in np.flatnonzero(going):
            both = spiel_planes(theirs[column], theirs[column].current_player())
            occupied = both.sum(axis=0)
            for square in np.ndindex(ROWS, COLUMNS):
                free = occupied[square] == 0
                for player, stones in enumerate(both):
                    threat = free and completes_a_line(stones, *square)
                    assert seen[(column, 2 + player, *square)] == threat
                    assert seen[(column, 4 + player, *square)] == (
                        threat and falls_to(occupied, square[1]) == square[0]
                    )
                    found += threat
    assert found > 500


def test_the_lookahead_player_wins_if_possible_else_blocks_if_possible_else_plays_any_allowed_move():
    rng = np.random.default_rng(7)
    cases = {"win": 0, "block": 0, "free": 0}
    for ours, theirs, going in random_positions(rng, games=200):
        chosen = lookahead(ours.observe(ours.current_players), ours.action_masks(), rng)
        for column in np.flatnonzero(going):
            mine, other = spiel_planes(theirs[column], theirs[column].current_player())
            legal = theirs[column].legal_actions()
            wins = [move for move in legal if completes_a_line(mine, falls_to(mine + other, move), move)]
            blocks = [move for move in legal if completes_a_line(other, falls_to(mine + other, move), move)]
            assert chosen[column] in (wins or blocks or legal)
            cases["win" if wins else "block" if blocks else "free"] += 1
    assert min(cases.values()) > 50, cases
