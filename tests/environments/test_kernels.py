"""`vstore kernel`: kernelspecs that name a layer by its profile, and replace nothing of others."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import World, make_world

LAUNCHER = "import midlib, sys\nprint('kernel', midlib.VERSION, sys.argv[1:])\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose layers have the module that starts a kernel."""
    world = make_world(tmp_path_factory.mktemp("kernels"))
    files = {"ipykernel_launcher.py": LAUNCHER, "ipykernel/resources/logo-64x64.png": "picture"}
    make_wheel(world.wheels, "ipykernel", "1.0", files)
    _write_spec(world, "==1.0")
    world.realise()
    return world


def _write_spec(world: World, midlib: str) -> None:
    world.write_spec(midlib)
    world.spec.write_text(world.spec.read_text().replace('"ns-side"', '"ns-side", "ipykernel"'))


def test_a_kernel_follows_its_profile(world: World, tmp_path: Path) -> None:
    made = world.json("kernel", "install", "project", "--display-name", "Mine", JUPYTER_DATA_DIR=str(tmp_path))
    assert Path(made["file"]) == tmp_path / "kernels/project/kernel.json"
    spec = json.loads(Path(made["file"]).read_text())
    assert spec["display_name"] == "Mine" and spec["language"] == "python"
    assert Path(spec["argv"][0]) == world.root / "profiles/project/layers/app-hello/bin/python"
    assert (tmp_path / "kernels/project/logo-64x64.png").read_text() == "picture"
    assert _started(spec) == "kernel 1.0 ['-f', '{connection_file}']"
    _write_spec(world, "==2.0")
    world.realise()
    assert _started(spec).startswith("kernel 2.0")
    world.run("rollback", "project")
    assert _started(spec).startswith("kernel 1.0")


def _started(spec: dict[str, list[str]]) -> str:
    return subprocess.check_output(spec["argv"], text=True).strip()


def test_kernels_are_listed_and_removed(world: World, tmp_path: Path) -> None:
    place = ("--prefix", str(tmp_path))
    world.run("kernel", "install", "project", *place)
    world.run("kernel", "install", "project/framework-side", "--name", "side", *place)
    assert [(one["name"], one["layer"], one["ready"]) for one in world.json("kernel", "list", *place)] == [
        ("project", "app-hello", True),
        ("side", "framework-side", True),
    ]
    assert "side" in world.run("kernel", "list", *place)[0]
    world.run("kernel", "install", "project", "--name", "side", *place)
    assert world.json("kernel", "list", *place)[1]["layer"] == "app-hello"
    world.run("kernel", "remove", "side", *place)
    assert "did you mean 'project'" in world.run("kernel", "remove", "projct", *place, code=13)[1]
    assert os.listdir(tmp_path / "share/jupyter/kernels") == ["project"]


def test_kernels_of_others_stay(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "share/jupyter/kernels"
    (folder / "project").mkdir(parents=True)
    (folder / "project/kernel.json").write_text('{"argv": ["python"], "display_name": "Other", "language": "python"}')
    kernel = folder / "project/kernel.json"
    before = (kernel.stat().st_ino, kernel.stat().st_mtime_ns)
    place = ("--prefix", str(tmp_path))
    assert "vstore did not make" in world.run("kernel", "install", "project", *place, code=2)[1]
    world.run("kernel", "remove", "project", *place, code=13)
    world.run("kernel", "install", "project", "--name", "own", *place)
    (folder / "link").symlink_to("own")
    world.run("kernel", "install", "project", "--name", "link", *place, code=2)
    assert [one["name"] for one in world.json("kernel", "list", *place)] == ["own"]
    assert (kernel.stat().st_ino, kernel.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["project/python"], "no ipykernel"),
        (["project@1"], "would not keep"),
        (["project", "--name", "../x"], "not a name"),
        (["project", "--user"], "two places"),
    ],
)
def test_mistakes(world: World, tmp_path: Path, arguments: list[str], text: str) -> None:
    assert text in world.run("kernel", "install", *arguments, "--prefix", str(tmp_path), code=2)[1]
    assert list(tmp_path.iterdir()) == []


def test_a_kernel_whose_profile_is_gone_is_told(world: World, tmp_path: Path) -> None:
    world.run("realise", str(world.spec), "--profile", "other")
    world.run("kernel", "install", "other", "--prefix", str(tmp_path))
    world.run("forget", "other", "--all")
    assert [one["ready"] for one in world.json("kernel", "list", "--prefix", str(tmp_path))] == [False]
