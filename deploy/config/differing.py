"""The settings of a run that differ from their defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .effective import effective, for_local_run, to_plain
from .tree import entries

if TYPE_CHECKING:
    from .given import Given

# What a run is, or where it is, and not how it goes.
_LEFT_OUT = {"run", "game", "seed", "algo", "out", "checkpoint_dir", "name", "records"}


def differing(given: Given, *, local: bool) -> dict[str, Any]:
    """The given settings whose values are not the defaults, by name, in types of JSON.

    A setting whose default depends on the game is among them if it was given at all. Secrets are not.

    Args:
        given: the settings.
        local: whether the defaults are those of `broodmind up`.
    """
    algorithm = given.only(["algo"])
    defaults = to_plain(effective(for_local_run(algorithm) if local else algorithm))
    found = {}
    for name, value in given.values.items():
        entry = entries()[name]
        setting = entry.field.setting
        if name in _LEFT_OUT or entry.path == ("connection",) or given.sources.get(name) == "default":
            continue
        default: Any = defaults
        for part in (*entry.path, name):
            default = default[part]
        if setting.auto or entry.field.plain(value) != default:
            found[name] = entry.field.plain(value)
    return found
