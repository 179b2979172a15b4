"""Environments made from a layer stand on the store's interpreter, with the Pythons of this machine hidden."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from scripts.testing.world import World, asking_the_index, make_world
from vstore.build.interpreter.local import find_local
from vstore.fs.trees.removal import remove_tree

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("whole_pythons"),
    pytest.mark.skipif(sys.platform != "linux", reason="mounts hide the machine's Pythons"),
]

NOBODY = 65534
HERE = """
import ensurepip, os, ssl, sys, sysconfig
print(*(os.path.realpath(path) for path in (sys.base_prefix, os.__file__, sysconfig.get_path("include"))), sep="\\n")
"""


class WithIndex(World):
    """A world that asks the package index too."""

    def environment(self) -> dict[str, str]:
        return asking_the_index(super().environment())


def pythons() -> list[str]:
    """The newest CPython of each series that stands alone here."""
    found = {one.version.feature: str(one.version) for one in reversed(find_local(os.environ)) if not one.is_system}
    return [found[name] for name in ("3.11", "3.12", "3.13") if name in found] or [sys.version.split()[0]]


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """A folder that every user may look into, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="vstore-made-"))
    folder.chmod(0o755)
    yield folder
    remove_tree(folder)


@pytest.fixture(scope="module", params=pythons())
def world(request: pytest.FixtureRequest, public: Path) -> World:
    """A stack on that CPython, and uv, which the user cannot see where it is installed."""
    world = make_world(public / request.param)
    newest = f"cpython@{sys.version_info.major}.{sys.version_info.minor}"
    world.spec.write_text(world.spec.read_text().replace(newest, f"cpython@{request.param}"))
    world.realise()
    (world.folder / "uv").write_bytes(Path(find_uv_bin()).read_bytes())
    (world.folder / "uv").chmod(0o755)
    return world


@pytest.fixture(scope="module")
def substituted(world: World) -> World:
    """The same stack in a store of its own, which has nothing but what a cache gave it."""
    return substitute(world)


def substitute(world: World) -> World:
    """Push the stack of a world, and bring it into a new root."""
    cache = f"file://{world.folder}/cache"
    key = world.json("key", "generate", "builder-1")["public"]
    world.run("push", cache, "project", "--channel", "stable")
    other = World(world.folder, world.folder / "other-root")
    other.run("pull", cache, "stable", "--trust", key, "--profile", "project")
    return other


@pytest.fixture
def folder(world: World) -> Path:
    """A folder of the user's own."""
    return of_the_user(world)


def of_the_user(world: World) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="user-", dir=world.folder))
    folder.chmod(0o777)
    return folder


def quoted(path: Path) -> str:
    return shlex.quote(str(path))


def layer(world: World) -> Path:
    return world.root / "profiles/project/layers/app-hello"


def as_user(world: World, folder: Path, command: str) -> str:
    """The output of a shell command of an ordinary user for whom the machine's Pythons and other stores are hidden."""
    hidden = {one.prefix for one in find_local(os.environ) if not one.is_system}
    hidden |= {root for root in world.folder.glob("*root") if root != world.root}
    hide = "".join(f"mount -t tmpfs none {quoted(prefix)} && " for prefix in sorted(hidden))
    user = "setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs" if os.getuid() == 0 else ""
    environment = f"env -i PATH=/usr/bin:/bin HOME={quoted(folder)} UV_OFFLINE=1"
    script = f"{hide}cd {quoted(folder)} && exec {user} {environment} sh -ec {shlex.quote(command)}"
    done = subprocess.run(
        ["unshare", "-rm" if os.getuid() else "-m", "sh", "-c", script], capture_output=True, text=True
    )
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"cannot hide a folder here: {done.stderr.strip()}")
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def stands_on(world: World, output: str) -> None:
    """Check what `HERE` says: everything is of the store's interpreter."""
    (interpreter,) = (world.root / "store").glob("*-cpython-*")
    base, library, headers = output.strip().splitlines()[-3:]
    assert Path(library).is_relative_to(interpreter / "lib") and Path(headers).is_relative_to(interpreter / "include")
    assert Path(base) == interpreter or Path(base).parent.parent == interpreter.parent


@pytest.mark.parametrize("making", ["-m venv", "-m venv --system-site-packages", "-m venv --without-pip"])
def test_a_venv_stands_on_the_stores_interpreter(world: World, folder: Path, making: str) -> None:
    python = layer(world) / "bin/python"
    stands_on(world, as_user(world, folder, f"{quoted(python)} {making} e && e/bin/python -c '{HERE}'"))


@pytest.mark.fast
def test_a_venv_is_made_twice_and_its_files_are_the_users(world: World, folder: Path) -> None:
    make = f"{quoted(layer(world))}/bin/python -m venv --without-pip e"
    as_user(world, folder, f"{make} && {make} && echo >> e/bin/activate && . e/bin/activate && deactivate")


def test_a_venv_of_a_venv_stands_on_the_stores_interpreter(world: World, folder: Path) -> None:
    make = f"{quoted(layer(world))}/bin/python -m venv --without-pip e && e/bin/python -m venv --without-pip f"
    stands_on(world, as_user(world, folder, f"{make} && f/bin/python -c '{HERE}'"))


@pytest.mark.fast
def test_uv_venv_stands_on_the_stores_interpreter(world: World, folder: Path) -> None:
    make = f"{quoted(world.folder)}/uv venv -q --python {quoted(layer(world))}/bin/python e"
    stands_on(world, as_user(world, folder, f"{make} && e/bin/python -c '{HERE}'"))


@pytest.mark.parametrize("making", ["{python} -m venv e", "{folder}/uv venv -q --python {python} e"])
def test_an_environment_of_a_substituted_layer_stands_on_its_store(
    substituted: World, folder: Path, making: str
) -> None:
    make = making.format(python=quoted(layer(substituted) / "bin/python"), folder=quoted(substituted.folder))
    stands_on(substituted, as_user(substituted, folder, f"{make} && e/bin/python -c '{HERE}'"))


@pytest.mark.network
def test_a_virtualenv_of_a_substituted_layer_stands_on_its_store(public: Path) -> None:
    made = make_world(public / "virtualenv")
    made.spec.write_text(made.spec.read_text().replace('["ns-app"]', '["ns-app", "virtualenv"]'))
    world = WithIndex(made.folder, made.root)
    world.json("realise", str(world.spec), "--local-wheels", str(world.wheels))
    other = substitute(world)
    make = f"{quoted(layer(other))}/bin/virtualenv -q e"
    stands_on(other, as_user(other, of_the_user(other), f"{make} && {make} && e/bin/python -c '{HERE}'"))


def test_pip_is_refused_in_the_interpreter_itself_in_our_words(world: World, folder: Path) -> None:
    (interpreter,) = (world.root / "store").glob("*-cpython-*")
    make = f"{quoted(layer(world))}/bin/python -m venv e"
    pip = "e/lib/python3*/site-packages"
    command = f"{make} && ! PYTHONPATH=$(echo {pip}) {quoted(interpreter)}/bin/python3 -m pip install x 2>&1"
    said = as_user(world, folder, command)
    assert "externally-managed-environment" in said and "vstore realise" in said


def test_pip_installs_into_a_venv(world: World, folder: Path) -> None:
    install = f"e/bin/pip install -q --no-index --find-links {quoted(world.wheels)} ns-side"
    make = f"{quoted(layer(world))}/bin/python -m venv e"
    said = as_user(world, folder, f"{make} && {install} && e/bin/python -c 'import ns.side as s; print(s.__file__)'")
    assert said.strip().splitlines()[-1].startswith(f"{folder}/e/")


def test_copies_are_refused_in_words_where_they_would_not_find_their_library(world: World, folder: Path) -> None:
    program = (layer(world) / "libexec").glob("python3.*")
    if not any(b"libpython3" in needed.read_bytes() for needed in program):
        pytest.skip("this CPython has no shared library")
    make = f"{quoted(layer(world))}/bin/python -m venv --copies e"
    assert "--copies is not possible" in as_user(world, folder, f"! {make} 2>&1")
    code = "import venv; venv.create('e', symlinks=False)"
    stands_on(
        world, as_user(world, folder, f"{quoted(layer(world))}/bin/python -c \"{code}\" && e/bin/python -c '{HERE}'")
    )


def test_an_environment_that_is_a_root_keeps_what_it_stands_on(world: World, tmp_path: Path) -> None:
    other = world.copy(tmp_path / "copy")
    subprocess.run([layer(other) / "bin/python", "-m", "venv", "--without-pip", tmp_path / "e"], check=True)
    base = os.path.realpath(layer(other))
    assert other.json("roots", "add", str(tmp_path / "e"))["path"] == os.path.basename(base)
    other.run("forget", "project", "--all")
    other.run("gc")
    stands_on(other, subprocess.check_output([tmp_path / "e/bin/python", "-c", HERE], text=True))
    assert str(tmp_path / "e/.vstore-root") in [root["name"] for root in other.json("roots")["roots"]]
    other.run("roots", "remove", str(tmp_path / "e"))
    other.run("gc")
    assert not os.path.exists(base)


def test_an_environment_of_another_python_is_no_root(world: World, tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\n")
    assert "stands on no object of this store, but on /usr/bin" in world.run("roots", "add", str(tmp_path), code=6)[1]
