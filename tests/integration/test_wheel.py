"""The wheel, as somebody else's machine gets it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import venv

import pytest
from support.documents import documented, replaced
from support.marks import one_kind
from support.paths import ROOT
from support.servers import PATIENCE_S

pytestmark = pytest.mark.xdist_group("wheel")  # built once, by the worker that gets them all


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = documented("README.md", "pip wheel").split()
    subprocess.run([sys.executable, "-m", *command, "--wheel-dir", folder], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def python(wheel):
    """The interpreter of a fresh environment with the wheel and the base install alone."""
    folder = wheel.parent
    venv.create(folder / "venv", with_pip=True)
    interpreter = folder / "venv" / "bin" / "python"
    command = replaced(documented("docs/starcraft2.md", "pip install ."), {" .": f" {wheel}"}).split()
    subprocess.run([interpreter, "-m", *command, "--quiet"], check=True, capture_output=True)
    return interpreter


@pytest.fixture
def hostile(tmp_path):
    """A folder such as a bot's own, whose modules have the names of our folders and must not be imported."""
    for name in ("common", "actors", "learner", "deploy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported the wrong module')\n")
    return tmp_path


def run(python, folder, *arguments):
    return subprocess.run(
        [python, *arguments], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@one_kind
def test_the_wheel_works_in_a_folder_whose_modules_have_the_names_of_our_packages(
    python, hostile, shared_server, redis
):
    command = python.with_name("broodmind")
    name = f"wheel-{shared_server.kind}"
    common = ["--redis", shared_server.url, "--run", name]
    with subprocess.Popen([command, "actors", *common, "--envs", "4"], cwd=hostile) as actors:
        try:
            learner = subprocess.run(
                [command, "learner", *common, "--max-steps", "3000"],
                cwd=hostile,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        finally:
            actors.terminate()
    assert learner.returncode == 0, learner.stderr
    status = subprocess.run([command, "status", *common], cwd=hostile, capture_output=True, text=True, check=False)
    assert f"run {name}" in status.stdout, status.stderr


def test_the_wheel_has_the_extras_that_the_documents_install(python, wheel, tmp_path):
    """The packages that they consist of are not fetched: these tests run with them."""
    for line in (
        documented("README.md", "pip install"),
        documented("docs/starcraft2.md", "pip install '.[starcraft2]'"),
        documented("docs/migrating.md", "pip install"),
        documented("benchmarks/README.md", "pip install"),
    ):
        command = shlex.split(replaced(line, {"'.[": f"'{wheel}["}))
        result = run(python, tmp_path, "-m", *command, "--dry-run", "--no-deps")
        assert result.returncode == 0, result.stderr
        assert "does not provide the extra" not in result.stderr


def test_a_bot_imports_the_wheel_beside_its_own_modules_of_the_same_names(python, hostile):
    code = "import broodmind.actors, broodmind.common, broodmind.learner.loop, broodmind.actors.loop; print('fine')"
    result = run(python, hostile, "-c", code)
    assert result.stdout.strip() == "fine", result.stderr
    for name in ("common", "actors", "learner", "deploy"):
        (hostile / f"{name}.py").write_text("WHOSE = 'the bot'\n")
        result = run(python, hostile, "-c", f"import broodmind.{name}, {name}; print({name}.WHOSE)")
        assert result.stdout.strip() == "the bot", result.stderr


@one_kind
def test_the_base_install_names_the_missing_extra(python, hostile, shared_server):
    command = python.with_name("broodmind")
    environment = {**os.environ, "BROODMIND_REDIS": shared_server.url}
    result = subprocess.run(
        [command, "learner", "--game", "CartPole-v1"],
        cwd=hostile, capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert result.returncode == 3
    assert "game: 'CartPole-v1', expected one of TinyZerg, ConnectFour or module:factory" in result.stderr
    result = subprocess.run([command, "up"], cwd=hostile, capture_output=True, text=True, check=False)
    assert result.returncode == 3
    assert "install broodmind[local]" in result.stderr


def test_the_wheel_contains_the_package_and_nothing_else(python):
    listing = run(python, ROOT, "-m", "pip", "show", "--files", "broodmind").stdout
    files = [line.strip() for line in listing.partition("Files:")[2].splitlines() if line.strip()]
    ours = {file.split("/")[1] for file in files if file.startswith("broodmind/")}
    assert ours - {"__pycache__"} == {"__init__.py", "py.typed", "actors", "common", "deploy", "learner"}
    assert any(file.endswith("learner/commit/commit.lua") for file in files)
    assert not [file for file in files if "tests" in file or "benchmarks" in file]
