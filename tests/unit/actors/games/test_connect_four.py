"""The rules of connect four and its player that looks one move ahead; tests/reference compares with OpenSpiel."""

from __future__ import annotations

import numpy as np

from broodmind.actors.games.connect_four import COLUMNS, ROWS, ConnectFour, has_line, landings, lookahead


def test_a_full_board_without_a_line_is_a_draw():
    """Three columns of the one, three of the other, shifted so that no four meet."""
    game = ConnectFour(1)
    game.reset(0)
    order = [0, 1, 2, 3, 4, 5] * 2 + [1, 0, 3, 2, 5, 4] * 2 + [0, 1, 2, 3, 4, 5] * 2 + [6] * 6
    results = [game.step(np.array([column]), np.ones(1, bool)) for column in order]
    assert [bool(ended[0]) for ended, _ in results] == [False] * 41 + [True]
    assert results[-1][1][0] == 0
    assert not game.action_masks().any()


def test_no_line_runs_over_the_edge_of_the_board():
    """Squares that follow each other in the numbering, but not on the board."""

    def squares(*places):
        return np.array([sum(1 << (7 * column + row) for column, row in places)], np.uint64)

    assert has_line(squares((0, 2), (0, 3), (0, 4), (0, 5)))[0]
    assert has_line(squares((3, 0), (4, 1), (5, 2), (6, 3)))[0]
    assert has_line(squares((3, 5), (4, 4), (5, 3), (6, 2)))[0]
    assert not has_line(squares((0, 4), (0, 5), (1, 0), (1, 1)))[0]
    assert not has_line(squares((0, 3), (1, 4), (2, 5), (4, 0)))[0]
    assert not has_line(squares((0, 0), (1, 0), (2, 0), (4, 0)))[0]


def test_nothing_can_fall_into_a_full_column():
    full = np.uint64(2**ROWS - 1)
    assert (landings(np.array([0, full], np.uint64)) & np.uint64(2**7 - 1)).tolist() == [1, 0]


def test_only_the_selected_games_are_stepped_or_reset():
    game = ConnectFour(3)
    game.reset(0)
    game.step(np.array([3, 3, 3]), np.array([True, True, False]))
    assert game.current_players.tolist() == [1, 1, 0]
    assert game.observe(np.zeros(3, int))[:, :2].sum(axis=(1, 2, 3)).tolist() == [1, 1, 0]
    game.reset_games(np.array([True, False, False]))
    assert game.current_players.tolist() == [0, 1, 0]
    assert game.observe(np.zeros(3, int))[:, :2].sum(axis=(1, 2, 3)).tolist() == [0, 1, 0]


def test_the_lookahead_player_chooses_at_random_among_equally_good_moves():
    game = ConnectFour(500)
    game.reset(0)
    chosen = lookahead(game.observe(game.current_players), game.action_masks(), np.random.default_rng(0))
    assert np.bincount(chosen, minlength=COLUMNS).min() > 40
