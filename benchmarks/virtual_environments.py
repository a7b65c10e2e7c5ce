"""Environments of their own for what the project itself does not need: peers to compare it with.

They lie in `build/peers`, one folder each, and are made the first time that they are asked for.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

import click

PEERS = Path(__file__).parents[1] / "build" / "peers"


def python_of(name: str, *requirements: str) -> Path:
    """The Python of the environment `name`, made anew where it is missing or was made of other requirements.

    Args:
        name: of its folder.
        requirements: what to install, as pip takes it.

    Raises:
        ClickException: where pip fails.
    """
    folder = PEERS / name
    python = folder / "bin" / "python"
    mark = folder / f"made-{hashlib.sha256(repr(requirements).encode()).hexdigest()[:16]}"
    if mark.exists():
        return python
    make(folder, *requirements)
    mark.touch()
    return python


def make(folder: Path, *requirements: str) -> None:
    """Make an environment in `folder`, in place of whatever is there. Raises ClickException where pip fails."""
    print(f"making {folder}: {' '.join(requirements)}", file=sys.stderr, flush=True)
    venv.create(folder, clear=True, with_pip=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*command, *requirements], stdout=sys.stderr, check=False).returncode:
        raise click.ClickException(f"{folder}: pip failed to install {' '.join(requirements)}, expected it to")
