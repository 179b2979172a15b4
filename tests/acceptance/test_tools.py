"""Tools that make environments, in a layer: what they make stands on the store's interpreter, for an ordinary user."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.testing.world import World, make_world
from tests.flows.test_environments import HERE, WithIndex, as_user, layer, of_the_user, pythons, stands_on
from vstore.fs.trees.removal import remove_tree

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.usefixtures("whole_pythons"),
    pytest.mark.skipif(sys.platform != "linux", reason="mounts hide the machine's Pythons"),
]

TOOLS = ["tox", "nox", "build", "pre-commit"]
SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{python}"
requirements = {tools}

[[applications]]
name = "hello"
launch_module = "hello.py"
runtime = "python"
requirements = []
"""
FILES = {
    "here.py": HERE,
    "tox.ini": "[tox]\nno_package = true\n[testenv]\ncommands = python here.py\n",
    "noxfile.py": """\
import nox

@nox.session(venv_backend="virtualenv")
def virtualenv(session):
    session.run("python", "here.py")

@nox.session(venv_backend="venv")
def venv(session):
    session.run("python", "here.py")
""",
    "pyproject.toml": """\
[build-system]
requires = ["setuptools"]
build-backend = "backend"
backend-path = ["."]
[project]
name = "project"
version = "1"
[tool.setuptools]
py-modules = []
""",
    "backend.py": f"from setuptools.build_meta import *\n{HERE}",
    ".pre-commit-config.yaml": """\
repos:
  - repo: local
    hooks:
      - {id: here, name: here, language: python, entry: python here.py, pass_filenames: false, verbose: true}
""",
}
COMMANDS = {
    "tox": "{bin}/tox -q -e py && {bin}/tox -q -e py",
    "nox": "{bin}/nox",
    "build": "{bin}/python -m build --wheel . && ls dist/*.whl",
    "pre-commit": "git config --global safe.directory '*' && git init -q && git add . && {bin}/pre-commit run -a",
}


@pytest.fixture(scope="module", params=pythons())
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The tools in a runtime of that CPython, and beside it the wheel that building needs."""
    folder = Path(tempfile.mkdtemp(prefix="vstore-tools-"))
    folder.chmod(0o755)
    made = make_world(folder / request.param)
    world = WithIndex(made.folder, made.root)
    world.spec.write_text(SPEC.format(python=request.param, tools=TOOLS))
    world.run("realise", str(world.spec))
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(world.wheels), "setuptools"]
    subprocess.run(download, check=True)
    yield world
    remove_tree(folder)


@pytest.mark.parametrize("tool", COMMANDS)
def test_its_environments_stand_on_the_stores_interpreter(world: World, tool: str) -> None:
    folder = of_the_user(world)
    for name, text in FILES.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    settings = f"export PIP_NO_INDEX=1 PIP_FIND_LINKS={world.wheels}; "
    command = COMMANDS[tool].format(bin=layer(world) / "bin")
    said = as_user(world, folder, f"{settings}{{ {command}; }} 2>&1")
    places = [line.strip() for line in said.splitlines() if line.strip().startswith("/")]
    assert len(places) >= 3, said
    for number in range(0, len(places), 3):
        stands_on(world, "\n".join(places[number : number + 3]))
