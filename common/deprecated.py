"""Old names that still work until version 0.3. No other module knows an old name.

Importing or typing an old name gives a warning. Data that an earlier version stored is read without a warning.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_T = TypeVar("_T")
_PACKAGE = __name__.partition(".")[0]

# Modules that were documented by their path.
_MODULES = {
    "actors.game": "actors.games.vector_game",
    "actors.tinyzerg_gymnasium": "actors.games.tinyzerg_gymnasium",
    "actors.two_seats": "actors.games.two_player_game",
}
# Names that were documented as attributes of a module: by the module's current path, old name to current name.
_ATTRIBUTES = {
    "actors.games.two_player_game": {"TwoSeatGame": "TwoPlayerGame"},
    "actors.starcraft2.features": {"Seen": "GameState"},
}
# Fields and values as versions before 0.2 stored them: in the hashes `head` and `stats`, the ledger, learner states and
# archives.
_STORED = {
    "accept_declared": "accept_imported",
    "declared": "imported",
    "foreign": "off_run",
    "refused": "rejected",
    "refused_by_lag": "rejected_by_lag",
    "refused_by_length": "rejected_by_length",
}
SOLO_CONSUMER = b"alone"  # the consumer of entries that were processed one at a time
# Names that were documented as attributes of `broodmind.actors`, and are public names now.
_PUBLIC = ("Agent", "Episode", "Limits", "Status", "connect")


# Settings that had another name: as an option with dashes, as an environment variable in capitals.
SETTINGS = {
    "rate": "learning_rate",
    "unroll": "fragment_length",
    "normalise": "normalize_observations",
    "hold_back": "policy_lag",
    "accept_declared": "accept_imported",
    "state_fit": "observation_fit",
}
# Settings without effect: what does their work now.
ENDED_SETTINGS = {"high_water": "nothing: an actor's share follows from batch_steps or batch_games"}
# Hyperparameters of the algorithms that had another name in `--set NAME=VALUE`.
HYPERPARAMETERS = {
    "rate": "learning_rate",
    "lambda_": "gae_lambda",
    "clip": "clip_range",
    "epochs": "n_epochs",
    "minibatch": "minibatch_size",
    "entropy": "entropy_coef",
    "value_weight": "value_coef",
    "clip_norm": "max_grad_norm",
    "rates.scaling": "learning_rate_scaling",
    "rates.reference_steps": "reference_steps",
    "rates.warmup_updates": "warmup_updates",
    "rates.anneal_steps": "anneal_steps",
    "rates.stale_factor": "stale_factor",
    "rates.kl_target": "kl_target",
}
# Keys of `stats` in `status --json`. The entropy coefficient had the key of the policy's entropy, which kept it.
STATISTICS = {
    **{old: new for old, new in HYPERPARAMETERS.items() if "." not in old and old != "entropy"},
    "scaling": "learning_rate_scaling",
}
# Keys of the JSON objects that commands print.
IMPORT_KEYS = {"refused": "rejected"}
VERIFY_KEYS = {"figures": "metrics"}
UP_KEYS = {"dropped": "rejected"}
END = "0.3"


def actors_attribute(name: str) -> Any:  # noqa: ANN401 - classes and a function
    """The public object that was `broodmind.actors.NAME` before. Raises AttributeError for any other name."""
    if name not in _PUBLIC:
        raise AttributeError(f"module '{_PACKAGE}.actors' has no attribute {name!r}")
    _warn(f"{_PACKAGE}.actors.{name}", f"{_PACKAGE}.{name}", stacklevel=4)
    return getattr(importlib.import_module(_PACKAGE), name)


def module_attribute(module: str, name: str) -> Any:  # noqa: ANN401 - a class or a function
    """The attribute that was `MODULE.NAME` before, under its current name. Raises AttributeError for any other name."""
    new = _ATTRIBUTES.get(module.partition(".")[2], {}).get(name)
    if new is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    _warn(f"{module}.{name}", new, stacklevel=4)
    return getattr(sys.modules[module], new)


def current_game(game: Any) -> Any:  # noqa: ANN401 - whatever a user's factory returned
    """The game itself, or an adapter if it is a two-player game with the methods of version 0.1."""
    if not hasattr(game, "movers"):
        return game
    _warn(
        f"{type(game).__name__} with `movers`, a TwoSeatGame,", "the methods of broodmind.TwoPlayerGame", stacklevel=3
    )
    return _TwoPlayerGame(game)


class _TwoPlayerGame:
    """A TwoSeatGame with the methods of a TwoPlayerGame."""

    def __init__(self, game: Any) -> None:  # noqa: ANN401 - structural, and of another package
        self._game = game
        self.spec, self.num_envs, self.scripted_players = game.spec, game.num_envs, game.players
        self.reset, self.reset_games, self.observe = game.reset, game.begin, game.observe
        self.action_masks, self.step, self.close = game.allowed, game.play, game.close

    @property
    def current_players(self) -> Any:  # noqa: ANN401 - an array; this module imports no numpy
        """See TwoPlayerGame."""
        return self._game.movers


class _MovedModules:
    """Finds and loads a module under its old path. Python calls it only if there is no module of that path.

    A finder and loader as in `importlib.abc`, which is not imported because that would cost every process 6 ms.
    """

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See MetaPathFinder."""
        if fullname.partition(".")[2] not in _MODULES or not fullname.startswith(f"{_PACKAGE}."):
            return None
        return importlib.util.spec_from_loader(fullname, self)  # type: ignore[arg-type] # wants the old load_module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """See Loader. Returns the current module itself and not a copy, so that the classes are the same."""
        new = f"{_PACKAGE}.{_MODULES[spec.name.partition('.')[2]]}"
        _warn(spec.name, new, stacklevel=6)
        return importlib.import_module(new)

    def exec_module(self, module: ModuleType) -> None:
        """See Loader. Does nothing: the module has been executed already, under its current name."""


class StatusAliases:
    """Old names of the fields of a client's status."""

    __slots__ = ()
    lost: int

    @property
    def dropped(self) -> int:
        """What `lost` was called."""
        _warn("Status.dropped", "Status.lost", stacklevel=3)
        return self.lost


def with_old_keys(fields: dict[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """A JSON object with the keys of an earlier version in addition. Its field `deprecated_keys` lists these.

    Args:
        fields: the object with its current keys.
        renamed: old key to current key.
    """
    old = {name: fields[new] for name, new in renamed.items() if new in fields}
    return {**fields, **old, "deprecated_keys": sorted(old)} if old else fields


def with_old_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Like `with_old_keys`, for all counters and statistics that were renamed."""
    return with_old_keys(fields, {**_STORED, **STATISTICS})


def in_old_names(fields: Mapping[str, _T]) -> dict[str, _T]:
    """The same values under the names of an earlier version."""
    return {old_name(name): value for name, value in fields.items()}


def with_old_summary(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary of `up`, with the old key of the rejected entries and the old names of the reasons in addition."""
    return with_old_keys(summary, UP_KEYS) | {old: in_old_names(summary[new]) for old, new in UP_KEYS.items()}


def old_name(name: str) -> str:
    """The name under which an earlier version stored a field."""
    return next((old for old, new in _STORED.items() if new == name), name)


def stored_fields(raw: Mapping[str, _T]) -> dict[str, _T]:
    """Stored fields under their current names. If a field is stored under both names, the current one counts."""
    return {new: value for name, value in raw.items() if (new := stored_name(name)) == name or new not in raw}


def stored_counters(raw: Mapping[str, _T]) -> dict[str, _T]:
    """Stored counters under their names of today. Until 0.2 `overflow` was what `lost` is."""
    fields = stored_fields(raw)
    if "lost" not in fields and "overflow" in fields:
        fields["lost"] = fields.pop("overflow")
    return fields


def stored_name(name: str) -> str:
    """The current name of a field, or of a rejection reason, that an earlier version may have stored."""
    return _STORED.get(name, name)


def install() -> None:
    """Make the old module paths importable."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModules())


def _warn(old: str, new: str, *, stacklevel: int) -> None:
    warnings.warn(f"{old} is deprecated and ends with {END}, use {new}", DeprecationWarning, stacklevel=stacklevel)
