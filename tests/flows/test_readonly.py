"""Layers are not changed in place: what refuses, what still works, and what `verify` tells of root's changes."""

from __future__ import annotations

import ensurepip
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from scripts.testing.world import World, make_world

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("whole_pythons")]

BACKEND = """\
import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/made-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("made.py", "")
        wheel.writestr("made-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: made\\nVersion: 1\\n")
        wheel.writestr("made-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("made-1.dist-info/RECORD", "")
    return "made-1-py3-none-any.whl"
"""
PROJECT = """\
[build-system]
requires = ["ns-side"]
build-backend = "backend"
backend-path = ["."]
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A stack with pip in its runtime, and the source of a distribution."""
    world = make_world(tmp_path_factory.mktemp("readonly"))
    bundled = sorted(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"))
    if not bundled:
        pytest.skip("this Python carries no pip")
    shutil.copy(bundled[-1], world.wheels)
    world.spec.write_text(world.spec.read_text().replace('["low"]', '["low", "pip"]'))
    world.realise()
    source = world.folder / "source"
    source.mkdir()
    (source / "backend.py").write_text(BACKEND)
    (source / "pyproject.toml").write_text(PROJECT)
    return world


@pytest.fixture
def other(world: World, tmp_path: Path) -> World:
    return world.copy(tmp_path / "copy")


def pip(world: World, *arguments: str, code: int = 0) -> str:
    layer = world.root / "profiles/project/layers/app-hello"
    command = [str(layer / "bin/python"), "-m", "pip", "--no-input", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=world.environment())
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr


def told(world: World) -> list[str]:
    document = world.json("verify", code=6)
    return [problem["problem"] for problem in document["problems"]]


@pytest.mark.fast
def test_uninstalling_is_refused_in_one_line_and_changes_nothing(world: World) -> None:
    said = pip(world, "uninstall", "--yes", "midlib", code=1)
    assert len(said.splitlines()) == 1 and "change-its-spec-and-run-vstore-realise" in said
    assert world.json("verify")["problems"] == []


def test_building_and_installing_elsewhere_work(world: World, tmp_path: Path) -> None:
    wheels = ("--no-index", "--find-links", str(world.wheels))
    pip(world, "wheel", *wheels, "-w", str(tmp_path / "wheels"), str(world.folder / "source"))
    pip(world, "install", *wheels, "--target", str(tmp_path / "target"), str(world.folder / "source"))
    pip(world, "install", *wheels, "--prefix", str(tmp_path / "prefix"), "--ignore-installed", "ns-side")
    assert (tmp_path / "wheels/made-1-py3-none-any.whl").is_file() and (tmp_path / "target/made.py").is_file()
    assert [path.name for path in (tmp_path / "prefix").rglob("side.py")] == ["side.py"]
    assert world.json("verify")["problems"] == []


@pytest.mark.fast
def test_uv_looks_and_writes_nothing(world: World) -> None:
    layer = str(world.root / "profiles/project/layers/app-hello")
    wheels = ("--no-index", "--find-links", str(world.wheels))
    for command in (["list"], ["check"], ["freeze"], ["install", "--dry-run", *wheels, "midlib==2.0"]):
        done = subprocess.run([find_uv_bin(), "pip", *command, "--python", layer], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert world.json("verify")["problems"] == []


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_pip_and_uv_may_not_write_for_an_ordinary_user(world: World) -> None:
    pip(world, "install", "--no-index", "--find-links", str(world.wheels), "midlib==2.0", code=1)
    assert world.json("verify")["problems"] == []


@pytest.mark.root
@pytest.mark.parametrize("writer", ["pip", "uv", "bytecode"])
def test_verify_tells_what_root_has_changed(other: World, writer: str) -> None:
    layer = other.root / "profiles/project/layers/app-hello"
    wheels = ("--no-index", "--find-links", str(other.wheels))
    if writer == "pip":
        pip(other, "install", *wheels, "midlib==2.0")
    elif writer == "uv":
        command = [find_uv_bin(), "pip", "install", *wheels, "--python", str(layer), "midlib==2.0"]
        subprocess.run(command, check=False)  # it fails at a folder that is a link, after half of its work
    else:
        environment = {**other.environment(), "PYTHONOPTIMIZE": "1", "PYTHONDONTWRITEBYTECODE": ""}
        subprocess.run([layer / "bin/python", "-c", "import midlib"], check=True, env=environment)
    assert any("an entry was added or removed" in problem for problem in told(other))
    other.run("verify", "--repair")
    assert other.json("verify", "--contents")["problems"] == []


@pytest.mark.root
def test_a_store_mounted_read_only_refuses_root(other: World) -> None:
    """As docs/compatibility.md shows it."""
    store, layer = (
        shlex.quote(str(other.root / "store")),
        shlex.quote(str(other.root / "profiles/project/layers/app-hello")),
    )
    wheels = f"--no-index --find-links {shlex.quote(str(other.wheels))}"
    script = f"""\
mount --bind {store} {store} && mount -o remount,bind,ro {store} || exit 77
{layer}/libexec/launch
! {layer}/bin/python -m pip install {wheels} midlib==2.0 || exit 1
! {find_uv_bin()} pip install {wheels} --python {layer} midlib==2.0 || exit 1
{sys.executable} -m vstore --root {shlex.quote(str(other.root))} --json doctor || [ $? = 14 ]
"""
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, env=other.environment()
    )
    if done.returncode == 77:
        pytest.skip(f"no mounts here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("low 1.0 midlib 1.0 side app\n") and "Read-only file system" in done.stderr
    assert '"objects": "read-only mount"' in done.stdout
    assert other.json("verify", "--contents")["problems"] == []
