"""Modules of an application: in hostile checkouts, under odd names, outside of the project."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from scripts.testing.world import World
from tests.spec.checkouts import TRICKS, git, make_program

pytestmark = pytest.mark.slow

ODD = [
    *(b"a\nb.py", b"\xff.py", b"c d.py", b"-x.py", b"\"q'.py", b"back\\slash.py", b"\r.py", b"x\n", b"\x01", b"$(id)"),
    *(
        b"sub\n/\xfe\n.txt",
        "é".encode() * 120,
        b"%41",
        b";",
        b"#",
        b"\x1b[31m",
        "\u202e".encode(),
        b"*",
        b"requirements",
    ),
]


@pytest.fixture
def world(realised: World, tmp_path: Path) -> World:
    world = realised.copy(tmp_path / "w")
    text = world.spec.read_text().replace('"hello.py"', '"hello.py"\nsupport_modules = ["extra"]\nversioned = true')
    world.spec.write_text(text)
    (world.spec.parent / "extra").mkdir()
    (world.spec.parent / "extra" / "__init__.py").write_text("")
    return world


@pytest.mark.skipif(shutil.which("git") is None, reason="git makes the checkout")
@pytest.mark.parametrize("tricks", [["promisor", "filters", "hooks", "helpers"], ["submodule", "include", "alias"]])
def test_a_hostile_checkout_starts_nothing(world: World, tricks: list[str], tmp_path: Path) -> None:
    project = world.spec.parent
    (project / "package").mkdir()
    (project / "package" / "deep").mkdir()
    (project / ".gitignore").write_text("*.log\n.gitattributes\npackage/\n")
    (project / "extra" / "secret.log").write_text("not for others\n")
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    program = make_program(tmp_path / "tools")
    for name in ("git", "ssh"):
        shutil.copy(program, tmp_path / "tools" / name)
    for trick in tricks:
        TRICKS[trick](project, program)

    path = f"{tmp_path / 'tools'}{os.pathsep}{os.environ['PATH']}"
    wheels = ("--local-wheels", str(world.wheels), "--no-index")
    for command in (
        ("show",),
        ("lock", *wheels),
        ("realise", *wheels),
        ("publish", "--output-dir", str(tmp_path / "out"), *wheels),
    ):
        world.run(command[0], str(world.spec), *command[1:], PATH=path)

    assert not (tmp_path / "tools" / "ran").exists()
    app = next((world.root / "store").glob("*-app-hello"))
    assert sorted(place.name for place in app.glob("lib/*/site-packages/extra/*.*")) == ["__init__.py"]


def test_any_name_that_a_file_system_allows(world: World, tmp_path: Path) -> None:
    for name in ODD:
        place = os.path.join(os.fsencode(world.spec.parent / "extra"), name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(b"x = 1\n")

    path = world.paths(world.realise())["app-hello"]
    assert world.realise()["changed"] is False
    world.run("pack", "project", "-o", str(tmp_path / "bundle.tar"))
    other = World(world.folder, tmp_path / "other")
    other.run("unpack", str(tmp_path / "bundle.tar"))
    for one in (world, other):
        one.run("reindex")
        assert one.json("verify", "--contents")["problems"] == []
        extra = os.fsencode(next((one.root / "store" / path).glob("lib/*/site-packages/extra")))
        assert all(os.path.isfile(os.path.join(extra, name)) for name in ODD)
    for command in ("publish", "export"):
        wheels = ("--local-wheels", str(world.wheels), "--no-index")
        world.run(command, str(world.spec), "--output-dir", str(tmp_path / command), *wheels)


def test_a_module_outside_needs_the_users_word(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("KEY = 1\n")
    (tmp_path / "secret.py").chmod(0o600)
    world.spec.write_text(world.spec.read_text().replace('"extra"', '"../../secret.py"'))
    for command in ("show", "lock", "realise"):
        err = world.run(command, str(world.spec), code=3)[1]
        assert f"out of the spec's folder, to {tmp_path}/secret.py; --allow-outside {tmp_path} would allow that" in err
    assert world.realise("--allow-outside", str(tmp_path))["changed"] is True
    assert world.realise(VSTORE_ALLOW_OUTSIDE=str(tmp_path))["changed"] is False
