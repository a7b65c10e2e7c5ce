"""`broodmind play`: a game is shown as a film, or as text, from its first observation to its last."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageSequence

from broodmind.actors.games.registry import describe_game
from broodmind.actors.inference.exploration_noise import CorrelatedNoise
from broodmind.common.errors import ConfigError
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import NetworkSpec, RunSpec
from broodmind.common.wire.policy_npz import policy_arrays
from broodmind.deploy.policies.play import play
from broodmind.deploy.records.export import write_npz

SHADES = """
import gymnasium
import numpy as np

class Shades(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 9, (1,))
    action_space = gymnasium.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}

    def __init__(self, render_mode=None, length=4):
        self.render_mode, self.length = render_mode, length

    def reset(self, *, seed=None, options=None):
        self.at = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.at += 1
        return np.full(1, self.at, np.float32), 1.0, self.at == self.length, False, {}

    def render(self):
        return np.full((8, 8, 3), 20 * self.at, np.uint8)

class Dark(Shades):
    def __init__(self):
        super().__init__()

    def render(self):
        return None

class Blind(Shades):
    render = gymnasium.Env.render
"""


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """A function that writes a policy of random weights for a game; returns its path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shades.py").write_text(SHADES)

    def write(game):
        spec = RunSpec(describe_game(game), NetworkSpec((8,)))
        params = initial_params(spec.network, spec.game, np.random.default_rng(3))
        write_npz(tmp_path / "x.npz", policy_arrays(params, spec, 2, 9))
        return str(tmp_path / "x.npz")

    return write


def run(*arguments):
    result = CliRunner().invoke(play, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def shades(path):
    with Image.open(path) as film:
        images = [np.asarray(each.convert("RGB")) for each in ImageSequence.Iterator(film)]
        return [round(int(each[0, 0, 0]) / 20) for each in images], film.info["duration"]


def test_a_film_shows_each_game_from_its_first_image_to_its_last(exported, tmp_path):
    path = exported("shades:Shades")
    result = run(path, "--episodes", "2")
    assert "game 1: return 4 in 4 steps\ngame 2: return 4 in 4 steps\nwritten to shades-Shades-9.gif" in result.stderr
    assert shades(tmp_path / "shades-Shades-9.gif") == ([0, 1, 2, 3, 4, 0, 1, 2, 3, 4], 200)


def test_the_game_gets_its_arguments_and_a_long_game_is_cut_off(exported, tmp_path):
    path = exported("shades:Shades")
    options = ("--game-arg", "length=7", "--max-episode-steps", "5", "--fps", "10")
    result = run(path, *options, "--out", "y.gif")
    assert "game 1: return 5 in 5 steps, cut off" in result.stderr
    assert shades(tmp_path / "y.gif") == ([0, 1, 2, 3, 4, 5], 100)


def test_a_two_player_game_is_shown_as_text_against_its_strongest_player(exported):
    result = run(exported("ConnectFour"))
    boards = result.stdout.strip().split("\n\n")
    assert all(board.splitlines()[6] == "0 1 2 3 4 5 6" for board in boards)
    stones = [board.count("X") + board.count("O") for board in boards]
    assert stones == sorted(stones)
    assert stones[-1] >= 7
    assert "game 1: return " in result.stderr


def test_text_is_asked_for_where_a_game_has_both_forms(exported):
    result = run(exported("FrozenLake-v1"), "--text", "--max-episode-steps", "3")
    assert result.stdout.count("FFFH") >= 2
    with pytest.raises(ConfigError, match="text: 'shades:Shades' has no text form"):
        run(exported("shades:Shades"), "--text")


def test_tinyzerg_is_shown_as_text(exported):
    result = run(exported("TinyZerg"), "--max-episode-steps", "2")
    assert result.stdout.startswith("minerals 50   ")
    assert result.stdout.count("game_time_s") == 3


@pytest.mark.filterwarnings("ignore:.*render:UserWarning")
@pytest.mark.parametrize("game", ["shades:Dark", "shades:Blind"])
def test_a_game_that_shows_nothing_is_refused_with_what_is_needed(exported, game):
    with pytest.raises(ConfigError, match=rf"game: '{game}' shows nothing, expected render_mode='rgb_array' or"):
        run(exported(game))


def test_out_is_checked_before_anything_is_loaded(tmp_path):
    with pytest.raises(ConfigError, match=r"^out: 'x.avi'"):
        run(str(tmp_path / "missing"), "--out", "x.avi")


def test_noise_that_lasts_starts_anew_with_each_game(exported, monkeypatch):
    class Noise(CorrelatedNoise):
        def restart(self, columns):
            restarted.append(columns.tolist())

    restarted = []
    monkeypatch.setattr("broodmind.actors.inference.exploration_noise.make_noise", lambda _: Noise(0.9))
    path = exported("shades:Shades")
    assert run(path, "--game", "shades:Shades", "--sample", "--episodes", "3", "--out", "x.gif").exit_code == 0
    assert restarted == [[True], [True]]
