"""Errors that a game's own code raises: told with the place in that code."""

from __future__ import annotations

import contextlib
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from ....common.errors import BroodmindError, GameError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOTS = {Path(__file__).parents[3], Path(__file__).resolve().parents[3]}  # both, where links lead to the code
_OURS = tuple(f"{root / folder}/" for root in _ROOTS for folder in ("actors", "common", "deploy", "learner"))
_STANDARD_LIBRARY = f"{sysconfig.get_path('stdlib')}/"
_SITE_PACKAGES = ("/site-packages/", "/dist-packages/")
_LIBRARIES = ("/numpy/", "/gymnasium/")  # their code raises errors on a game's behalf
_GAMES_OF_GYMNASIUM = "/gymnasium/envs/"
_MAKING = "/gymnasium/envs/registration.py"


@contextlib.contextmanager
def game_code(name: str) -> Iterator[None]:
    """Turn an error that a game's own code raises inside the block into a GameError.

    Other errors pass, among them those of Broodmind itself.
    """
    try:
        yield
    except Exception as error:
        told = told_by_game(name, error)
        if told is None:
            raise
        raise told from error


def told_by_game(name: str, error: Exception) -> GameError | None:
    """The error as a GameError that names its place in the game's own code; None if none of that code was running."""
    if isinstance(error, BroodmindError):
        return None
    place = _place(error)
    return None if place is None else GameError(f"game {name}: {in_words(error)} ({place})")


def in_words(error: BaseException) -> str:
    """The type and the text of an error, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(" :")


def _place(error: BaseException) -> str | None:
    """File, line and function of the last call in the game's own code, in the error or in one that caused it."""
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        seen.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    for each in reversed(seen):
        if isinstance(each, SyntaxError) and each.filename is not None:
            return f"{_short(each.filename)}:{each.lineno}"
        frames = [frame for frame in traceback.extract_tb(each.__traceback__) if _is_game(frame.filename)]
        if frames:
            return f"{_short(frames[-1].filename)}:{frames[-1].lineno}, in {frames[-1].name}"
    return None


def _is_game(file: str) -> bool:
    if file.startswith(_OURS) or file.startswith(("<frozen", "numpy/")):
        return False
    if _GAMES_OF_GYMNASIUM in file:
        return not file.endswith(_MAKING)
    installed = any(folder in file for folder in _SITE_PACKAGES)
    if installed:
        return not any(library in file for library in _LIBRARIES)
    return not file.startswith(_STANDARD_LIBRARY)


def _short(file: str) -> str:
    """The file as seen from the current folder, if it is in there."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file
