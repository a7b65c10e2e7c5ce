"""Films: complete or not there, with the images that were given."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from broodmind.common.errors import ConfigError
from broodmind.deploy.policies.film import check_name, write_film

BLACK, WHITE = np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 255, np.uint8)


def frames_of(path):
    with Image.open(path) as film:
        assert film.info["loop"] == 0
        return [(np.asarray(each.convert("RGB")), each.info["duration"]) for each in ImageSequence.Iterator(film)]


def test_a_gif_has_each_image_for_its_share_of_a_second(tmp_path):
    write_film(tmp_path / "x.gif", [BLACK, WHITE, BLACK], 10)
    frames = frames_of(tmp_path / "x.gif")
    assert [duration for _, duration in frames] == [100, 100, 100]
    for (frame, _), expected in zip(frames, (BLACK, WHITE, BLACK), strict=True):
        np.testing.assert_array_equal(frame, expected)


def test_a_gif_of_more_images_a_second_than_viewers_show_leaves_some_out(tmp_path):
    shades = [np.full_like(BLACK, shade) for shade in range(0, 240, 8)]
    write_film(tmp_path / "x.gif", shades, 150)
    assert [int(frame[0, 0, 0]) for frame, _ in frames_of(tmp_path / "x.gif")] == list(range(0, 240, 24))


@pytest.mark.parametrize("name", ["x.avi", "x", "nowhere/x.gif"])
def test_a_name_that_cannot_become_a_film_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=f"^out: .*{name}', expected a file"):
        check_name(tmp_path / name)


def test_a_film_that_was_not_finished_leaves_nothing_and_keeps_the_earlier_one(tmp_path):
    def images():
        yield BLACK
        raise KeyboardInterrupt

    write_film(tmp_path / "x.gif", [WHITE], 10)
    before = (tmp_path / "x.gif").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_film(tmp_path / "x.gif", images(), 10)
    assert [path.name for path in tmp_path.iterdir()] == ["x.gif"]
    assert (tmp_path / "x.gif").read_bytes() == before


@pytest.mark.parametrize(("name", "package"), [("x.gif", "PIL"), ("x.mp4", "imageio_ffmpeg")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"expected broodmind\[film\] installed: pip install 'broodmind\[film\]'"):
        write_film(tmp_path / name, [BLACK], 10)
