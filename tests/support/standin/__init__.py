"""A stand-in for StarCraft II: an executable that implements its protocol with a small game of its own.

Unmodified bots of burnysc2 play whole games in it. Tests with it show that our code handles games correctly. They do
not show how well a bot plays the real game.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

SUPPORT = Path(__file__).parents[1]
MAP = "Flat"


def install(folder: Path) -> Path:
    """Create a folder that burnysc2 accepts as an installation. Returns the value for SC2PATH."""
    executable = folder / "Versions" / "Base75689" / "SC2_x64"
    executable.parent.mkdir(parents=True)
    (folder / "Maps").mkdir()
    (folder / "Maps" / f"{MAP}.SC2Map").touch()
    executable.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(SUPPORT.parent)!r})\n"
        "from support.standin.server import main\nmain()\n"
    )
    executable.chmod(executable.stat().st_mode | stat.S_IXUSR)
    return folder
