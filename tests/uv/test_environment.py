"""The user's variables as uv gets them: those of uv's projects play no part, and places are where the user is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.testing.world import World, make_world
from vstore.uv.environment import uv_environment

pytestmark = pytest.mark.slow

COMPILE = ("pip", "compile")
SOURCE = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("variables"))
    (made.folder / "two.txt").write_text("midlib==2.0\n")
    made.write_spec()
    return made


def lock(world: World, changes: Mapping[str, str], code: int = 0) -> str:
    """Run `vstore lock` in the world's folder and return its messages."""
    done = subprocess.run(
        [sys.executable, "-m", "vstore", "--root", str(world.root), "lock", "--upgrade", str(world.spec)],
        env={**world.environment(), "PYTHONPATH": SOURCE, **changes},
        cwd=world.folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "variable",
    [
        pytest.param("UV_FROZEN", marks=pytest.mark.fast),
        *("UV_LOCKED", "UV_NO_SYNC", "UV_NO_SOURCES", "UV_ISOLATED", "UV_NO_DEV", "UV_NO_DEFAULT_GROUPS"),
        *("UV_NO_EDITABLE", "UV_NO_BINARY", "UV_NO_BUILD", "UV_SYSTEM_PYTHON"),
    ],
)
def test_a_variable_about_projects_changes_no_lock(world: World, variable: str) -> None:
    lock(world, {variable: "1"})
    assert "midlib-2.0" in pins(world, "framework-mid")


@pytest.mark.parametrize(("variable", "value"), [("UV_NO_GROUP", "layer-0"), ("UV_NO_BINARY_PACKAGE", "midlib")])
def test_one_that_names_a_part_of_a_project_neither(world: World, variable: str, value: str) -> None:
    lock(world, {variable: value})
    assert "midlib-2.0" in pins(world, "framework-mid")


@pytest.mark.parametrize("given", [pytest.param("wheels", marks=pytest.mark.fast), "./wheels", "wheels,none/../wheels"])
def test_places_are_relative_to_the_users_folder(world: World, given: str) -> None:
    lock(world, {"UV_FIND_LINKS": given})
    assert "../../../wheels/midlib-2.0" in pins(world, "framework-mid")


def test_constraints_count_in_locking_and_not_in_installing(world: World) -> None:
    (world.folder / "one.txt").write_text("midlib<2\n")
    lock(world, {"UV_CONSTRAINT": "one.txt"})
    assert "midlib-1.0" in pins(world, "framework-mid")
    world.realise("--locked", UV_CONSTRAINT="gone.txt", UV_OVERRIDE="gone.txt", UV_EXCLUDE="gone.txt")


@pytest.mark.parametrize(("variable", "setting"), [("UV_OVERRIDE", "override"), ("UV_EXCLUDE", "exclude")])
def test_what_changes_dependencies_is_refused_with_its_setting(world: World, variable: str, setting: str) -> None:
    said = lock(world, {variable: "two.txt"}, 2)
    assert f"error: {variable} is set" in said
    assert f"`{setting}-dependencies = [...]` in [tool.uv]" in said


def test_a_mistake_in_a_variable_is_not_blamed_on_the_requirements(world: World) -> None:
    said = lock(world, {"UV_HTTP_TIMEOUT": "soon"}, 4)
    assert "UV_HTTP_TIMEOUT" in said and "variables that begin with UV_" in said
    assert "change the requirements" not in said


def test_a_configuration_file_that_is_named_must_be_there(world: World) -> None:
    assert "error: uv's settings cannot be read: gone.toml" in lock(world, {"UV_CONFIG_FILE": "gone.toml"}, 2)


def test_every_kind_of_place() -> None:
    here = os.getcwd()
    given = {
        "NETRC": "netrc",
        "SSL_CERT_DIR": os.pathsep.join(("/etc/ssl", "certs")),
        "UV_INDEX": "corp=simple https://host/simple  file:///srv/simple",
        "UV_DEFAULT_INDEX": "../simple",
        "UV_CONSTRAINT": "a.txt b.txt",
        "UV_EXTRA_INDEX_URL": "",
    }
    assert uv_environment(COMPILE, given) == {
        "NETRC": f"{here}/netrc",
        "SSL_CERT_DIR": os.pathsep.join(("/etc/ssl", f"{here}/certs")),
        "UV_INDEX": f"corp={here}/simple https://host/simple file:///srv/simple",
        "UV_DEFAULT_INDEX": f"{os.path.dirname(here)}/simple",
        "UV_CONSTRAINT": f"{here}/a.txt {here}/b.txt",
        "UV_EXTRA_INDEX_URL": "",
    }


def pins(world: World, layer: str) -> str:
    return (world.spec.parent / "requirements" / layer / f"pylock.{layer}.toml").read_text()
