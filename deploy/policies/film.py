"""Films: images written as a GIF or MP4 file, one by one, so that a long game does not fill the memory."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from ...common.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Image = NDArray[Any]  # uint8 [height, width, 3]

GIF, MP4 = ".gif", ".mp4"
_GIF_FPS_MAX = 50  # many viewers play faster ones slowly
_MISSING = "{what} is missing, expected broodmind[film] installed: pip install 'broodmind[film]'"


def check_name(path: Path) -> None:
    """Raise ConfigError if the file's name does not say which of the two formats it is, or its folder is missing."""
    if path.suffix.lower() not in {GIF, MP4}:
        raise ConfigError(f"out: {str(path)!r}, expected a file name that ends in {GIF} or {MP4}")
    if not path.parent.is_dir():
        raise ConfigError(f"out: {str(path)!r}, expected a file in a folder that exists")


def write_film(path: Path, images: Iterable[Image], fps: float) -> None:
    """Write images to a file under its name once it is complete.

    Args:
        path: its suffix says whether it becomes a GIF or an MP4.
        images: uint8 [height, width, 3], all of one size; at least one.
        fps: images in a second. A GIF has at most 50, and then leaves some out.

    Raises:
        ConfigError: if a package is missing, or the file cannot be written.
    """
    check_name(path)
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        (_write_gif if path.suffix.lower() == GIF else _write_mp4)(temporary, iter(images), fps)
        temporary.replace(path)
    except ModuleNotFoundError as error:
        raise ConfigError(_MISSING.format(what=error.name)) from error
    except OSError as error:
        raise ConfigError(f"out: {str(path)!r}, expected a file that can be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def _write_gif(path: Path, images: Iterator[Image], fps: float) -> None:
    from PIL import Image

    every = max(1, round(fps / _GIF_FPS_MAX))
    shown = (Image.fromarray(each) for each in itertools.islice(images, 0, None, every))
    duration_ms = max(1000 // _GIF_FPS_MAX, round(1000 * every / fps))
    with path.open("w+b") as file:  # closed here, also where the next image is an error
        next(shown).save(file, "GIF", save_all=True, append_images=shown, duration=duration_ms, loop=0)


def _write_mp4(path: Path, images: Iterator[Image], fps: float) -> None:
    import imageio_ffmpeg
    import numpy as np

    first = next(images)
    height, width, _ = first.shape
    writer = imageio_ffmpeg.write_frames(str(path), (width, height), fps=fps, macro_block_size=2)
    writer.send(None)
    try:
        for each in itertools.chain([first], images):
            writer.send(np.ascontiguousarray(each))
    finally:
        writer.close()
