"""Makes the game in a process of its own, as the learner and the actors do, while this one has it open too."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from ...common.spec import RunSpec
from .findings import error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...common.spec import GameSpec
    from .findings import Finding

_TIMEOUT_S = 60.0
_CODE = f"""
import json, sys
from {__name__.partition(".")[0]}.actors.games.registry import describe_game
from {__name__.partition(".")[0]}.common.spec import RunSpec
name, args = json.loads(sys.argv[1])
sys.stdout.write("\\n" + RunSpec(describe_game(name, args)).to_json())
sys.stdout.flush()
import os
os._exit(0)
"""


def made_again(name: str, args: Mapping[str, Any], spec: GameSpec) -> str:
    """Make the game in another process, from the current folder. Returns what is wrong, or nothing."""
    command = [sys.executable, "-P", "-c", _CODE, json.dumps([name, dict(args)])]
    try:
        result = subprocess.run(  # noqa: S603 - our own interpreter and code
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not made after {_TIMEOUT_S:g} s"
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        return lines[-1].rpartition("broodmind.common.errors.")[2]
    theirs = RunSpec.from_json(result.stdout.strip().splitlines()[-1]).game
    return "" if theirs == spec else f"{theirs}, expected {spec} as in this process"


def findings_of(together: str, by_itself: str) -> Iterator[Finding]:
    """What is to be said of it.

    Args:
        together: what was wrong while another process had the game open; or nothing.
        by_itself: what was wrong while none had it open; or nothing.
    """
    if by_itself:
        yield error("processes", f"it cannot be made in another process: {by_itself}")
    elif together:
        yield warning("processes", f"only one process at a time can have it: {together}; use --actors 1 --envs 1")
    else:
        yield ok("processes", "it can be made in several processes at a time, from this folder")
