"""The tests of `make check` on each Python from 3.11 that this machine has: `.venv/bin/nox`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nox

VERSIONS = ("3.11", "3.12", "3.13", "3.14")

nox.options.error_on_missing_interpreters = False  # a Python that is not installed is reported as skipped
nox.options.reuse_existing_virtualenvs = True


def interpreter(version: str) -> str:
    """The executable of a Python, or its bare version. A shim of pyenv starts only those that pyenv has selected."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True)
    for path in (shutil.which(f"python{version}"), *installed):
        if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return str(path)
    return version


def tests(session: nox.Session) -> None:
    """Unit, property and reference tests; other arguments for pytest follow `--`."""
    session.install("--quiet", "--editable", ".[dev]")
    arguments = session.posargs or ["tests/unit", "tests/properties", "tests/reference", "-m", "not reference"]
    session.run("pytest", "-q", "--numprocesses", "auto", *arguments)


for each in VERSIONS:
    nox.session(name=f"tests-{each}", python=interpreter(each))(tests)
