"""Paths of the repository's files, for tests in any folder."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
DOCS = ROOT / "docs"
DEPLOY_FILES = ROOT / "deploy" / "files"
SHARED = ROOT.parent / "shared"  # data that is not part of the repository
