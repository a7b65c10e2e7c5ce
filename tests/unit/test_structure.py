"""The packaging's promises that no tool checks by itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib

import pytest
from support.paths import ROOT

FOLDERS = ("actors", "common", "deploy", "learner")


def test_the_packages_in_pyproject_are_the_existing_folders():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["setuptools"]["packages"]
    folders = {init.parent.relative_to(ROOT) for name in FOLDERS for init in (ROOT / name).rglob("__init__.py")}
    assert sorted(listed) == sorted(["broodmind", *(".".join(("broodmind", *folder.parts)) for folder in folders)])


@pytest.mark.parametrize("folder", [p for name in FOLDERS for p in (ROOT / name, *(ROOT / name).iterdir())], ids=str)
def test_a_folder_has_at_most_a_dozen_modules(folder):
    if folder.is_dir():
        assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 12


def test_nothing_makes_the_repository_itself_a_package():
    assert not (ROOT / "__init__.py").exists()
    assert not (ROOT / "tests" / "__init__.py").exists()


@pytest.mark.parametrize("path", [p for name in FOLDERS for p in (ROOT / name).rglob("*.py")], ids=str)
def test_the_code_imports_itself_relatively(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            assert name.partition(".")[0] not in {*FOLDERS, "broodmind", "pickle"}, f"{path}:{node.lineno}: {name}"


def test_no_test_is_excused_from_the_rule_against_private_attributes():
    """Neither by pyproject.toml nor by a comment: a test that needs such an attribute shows a missing interface."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    rules = project["tool"]["ruff"]["lint"]
    excused = [rule for key in ("ignore", "extend-ignore") for rule in rules.get(key, [])]
    for key in ("per-file-ignores", "extend-per-file-ignores"):
        excused += [rule for ignored in rules.get(key, {}).values() for rule in ignored]
    assert not [rule for rule in excused if rule.startswith("SLF") or rule == "ALL"]
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--ignore-noqa", "--select", "SLF001", "tests"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def private_names(tree):
    """The private names that a module imports from broodmind, or gives to `setattr` and its like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("broodmind"):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("attr"):
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        else:
            continue
        yield from (name for name in names if re.fullmatch(r"(.*\.)?_[^_].*", name))


def test_tests_neither_import_nor_replace_private_names():
    """`ruff` sees attributes only. A test that needs another value passes it as an argument."""
    found = {str(path): list(private_names(ast.parse(path.read_text()))) for path in (ROOT / "tests").rglob("*.py")}
    assert not {name: private for name, private in found.items() if private}


@pytest.mark.parametrize(
    "code",
    [
        "from broodmind.common.errors import _x",
        "monkeypatch.setattr('broodmind.learner.loop._X_S', 1)",
        "monkeypatch.setattr(loop, '_X_S', 1)",
        "getattr(loop, '_x')",
    ],
)
def test_private_names_are_found_where_a_test_has_them(code):
    assert list(private_names(ast.parse(code)))


def test_up_and_its_monitor_do_not_import_numpy():
    """A process that only watches need not hold its 15 MB."""
    code = "import sys, broodmind.deploy.local.up, broodmind.deploy.local.monitor; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_line_does_not_import_numpy():
    """BLAS looks at its number of threads once, when it is loaded: a command sets it first."""
    looking = "import sys, broodmind.deploy.cli; print('numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", looking], text=True) == "False\n"


def test_the_code_map_names_every_file_in_its_folder():
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    code_map = architecture.partition("## Code map")[2].partition("\n## ")[0]
    named, folder = set(), ""
    for line in code_map.splitlines():
        if found := re.match(r"(?:\*\*)?`([\w/]+)/`", line):
            folder = found[1]
        elif found := re.match(r"- `([\w.]+)`: ", line):
            named.add(f"{folder}/{found[1]}")
    files = [path for name in FOLDERS for kind in ("*.py", "*.lua") for path in (ROOT / name).rglob(kind)]
    assert named == {path.relative_to(ROOT).as_posix() for path in files if path.name != "__init__.py"}
