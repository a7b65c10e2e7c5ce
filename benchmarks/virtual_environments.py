"""Virtual environments for libraries that only the benchmarks need, such as those that Broodmind is compared with.

They are in `build/peers`, one folder each, and are created when they are first used.
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
    """The Python of a virtual environment, which is created if it is missing or has other requirements.

    Args:
        name: the name of its folder.
        requirements: what to install, as arguments of pip.

    Raises:
        ClickException: if pip fails.
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
    """Create a virtual environment in `folder`, replacing what is there. Raises ClickException if pip fails."""
    print(f"making {folder}: {' '.join(requirements)}", file=sys.stderr, flush=True)
    venv.create(folder, clear=True, with_pip=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*command, *requirements], stdout=sys.stderr, check=False).returncode:
        raise click.ClickException(f"{folder}: pip failed to install {' '.join(requirements)}")
