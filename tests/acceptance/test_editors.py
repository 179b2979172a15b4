"""Tools of developers see the packages of a layer through its profile, and those of a development environment.

They keep doing so through upgrades, rollbacks and collections.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import cycle
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import World, make_world
from tests.acceptance.editors import Tools, locate

ROUNDS = 100
FIRST = "1.0"
TOOLS = ["uv", "pip", "pyright", "mypy", "ty", "debugpy", "jupyter", "locator"]
PLACES = ["profile", "link", "develop"]


class Workplace:
    """A project with its profile, the places where tools look for its environment, and the tools."""

    def __init__(self, world: World, tools: Tools) -> None:
        self.world = world
        self.tools = tools
        layer = world.root / "profiles/project/layers/app-hello"
        self.places = {"profile": layer, "link": world.folder / "editor/.venv", "develop": world.spec.parent / ".venv"}
        self.places["link"].parent.mkdir()
        self.places["link"].symlink_to(layer)
        world.run("kernel", "install", "project", JUPYTER_DATA_DIR=str(tools.work / "jupyter"))
        self.develop()
        python, prefix = str(self.places["develop"] / "bin/python"), str(tools.work / "prefix")
        make = [python, "-m", "ipykernel", "install", "--name", "develop", "--prefix", prefix]
        subprocess.run(make, check=True, capture_output=True)
        (tools.work / "prefix/share/jupyter/kernels/develop").rename(tools.work / "jupyter/kernels/develop")

    def upgrade(self, version: str) -> None:
        make_midlib(self.world, version)
        write_spec(self.world, version)
        self.world.realise()

    def develop(self) -> None:
        self.world.run("develop", str(self.world.spec), "--local-wheels", str(self.world.wheels), "--no-index")

    def sees(self, tool: str, place: str) -> str:
        if (tool, place) == ("jupyter", "link"):
            pytest.skip("a kernel has the path of the profile")
        return self.tools.known[tool](self.places[place])


def make_midlib(world: World, version: str) -> None:
    """Make a wheel whose version type checkers tell."""
    files = {"midlib/__init__.py": f"from typing import Final\nVERSION: Final = '{version}'\n", "midlib/py.typed": ""}
    make_wheel(world.wheels, "midlib", version, files, requires=["low"])


def write_spec(world: World, version: str) -> None:
    world.write_spec(f"=={version}")
    needed = '"ns-side", "ipykernel", "debugpy"'
    text = world.spec.read_text().replace('"ns-side"', needed)
    world.spec.write_text(text.replace("platforms =", 'linux_target = "glibc@2.34"\nplatforms ='))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("editors")
    world = make_world(folder / "w")
    make_midlib(world, FIRST)
    download = [sys.executable, "-m", "pip", "download", "-q", "-d", str(world.wheels), "debugpy", "ipykernel"]
    subprocess.run(download, check=True)
    write_spec(world, FIRST)
    world.realise()
    return Workplace(world, Tools.install(folder))


pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.usefixtures("whole_pythons")]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_sees_the_packages(workplace: Workplace, tool: str, place: str) -> None:
    assert workplace.sees(tool, place) == FIRST


def test_tools_survive_upgrades_rollbacks_and_collections(workplace: Workplace) -> None:
    """Each round upgrades to a version that no other has or rolls back, collects, and asks one of the tools."""
    world, tools, wanted = workplace.world, cycle(TOOLS), FIRST
    for number in range(ROUNDS):
        if number % 3 == 2:
            world.run("rollback", "project")
        else:
            wanted = f"2.{number}"
            workplace.upgrade(wanted)
        world.run("gc", "--keep", "3")
        workplace.develop()
        tool = next(tools)
        assert workplace.sees(tool, "profile") == _current(world), f"{tool} in round {number}"
        assert workplace.sees(tool, "develop") == wanted, f"{tool} in round {number}"
        assert locate(workplace.places["link"]) == _current(world)
    for tool in TOOLS:
        assert workplace.sees(tool, "profile") == _current(world)
        assert workplace.sees(tool, "develop") == wanted
    assert len(world.json("history", "project")) <= 4
    assert world.json("verify", "--contents")["problems"] == []


def _current(world: World) -> str:
    file = Path(world.root, "profiles/project/layers/app-hello/lib")
    (module,) = file.glob("python3*/site-packages/midlib/__init__.py")
    return module.read_text().split("'")[1]
