"""Whole projects without the network: a diamond of frameworks, many kinds of layers at once, folders with odd names."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import VERSION, World
from tests.acceptance.projects import clean_environment, layer, make_project, site, start
from vstore.cli.commands import COMMANDS
from vstore.target import Target

pytestmark = pytest.mark.slow

OTHER = next(target for target in Target if target.is_macosx)

# What each framework sits on; the class of the same name in Python has these bases.
DIAMOND = {
    "ground": [],
    "left": ["ground"],
    "right": ["ground"],
    "roof": ["left", "right"],
    "tower": ["left"],
    "flag": ["tower"],
}
TOP = ["roof", "flag"]
RUNTIME = """\
[[runtimes]]
name = "base@3"
python_implementation = "cpython@{version}"
requirements = ["who-base"]
"""
FRAMEWORK = """
[[frameworks]]
name = "{name}"
{on}
requirements = ["who-{name}"]
versioned = {versioned}
"""
APPLICATION = """
[[applications]]
name = "{name}"
launch_module = "tell.py"
{on}
requirements = []
"""


def diamond() -> str:
    text = RUNTIME
    for name, below in DIAMOND.items():
        on = f"frameworks = {json.dumps(below)}" if below else 'runtime = "base@3"'
        text += FRAMEWORK.format(name=name, on=on, versioned=json.dumps(name == "flag"))
    text += APPLICATION.format(name="top", on=f"frameworks = {json.dumps(TOP)}")
    text += APPLICATION.format(name="low", on='runtime = "base@3"')
    return text + APPLICATION.format(name="off", on='frameworks = ["roof"]\nplatforms = []')


def import_order() -> list[str]:
    """The order that Python itself gives to classes with these bases."""
    classes: dict[str, type] = {}
    for name, below in DIAMOND.items():
        classes[name] = type(name, tuple(classes[one] for one in below) or (object,), {})
    return [one.__name__ for one in type("top", tuple(classes[one] for one in TOP), {}).__mro__[1:-1]]


TELL = """\
import importlib.util, json, sys, who, shared
seen = [name for name in sys.argv[1:] if importlib.util.find_spec("only_" + name)]
print(json.dumps({"who": who.NAME, "portions": len(shared.__path__), "seen": seen, "path": sys.path,
    "pip": importlib.util.find_spec("pip") is not None, "prefix": sys.prefix}))
"""


@dataclass(frozen=True)
class Case:
    """A realised world that tests only read, and what `realise` answered."""

    world: World
    result: Mapping[str, object]


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The diamond: each layer has a module of its own, one that clashes with the others', and a part of a namespace."""
    world = make_project(tmp_path_factory.mktemp("tall"), diamond(), {"tell.py": TELL})
    for name in ("base", *DIAMOND):
        files = {"who.py": f"NAME = {name!r}\n", f"only_{name}.py": "", f"shared/{name}.py": ""}
        make_wheel(world.wheels, f"who-{name}", "1.0", files)
    return Case(world, world.realise())


def tell(case: Case, application: str) -> dict[str, object]:
    told: dict[str, object] = json.loads(start(case.world, application, "base", *DIAMOND))
    return told


def test_the_import_order_is_that_of_pythons_classes(tall: Case) -> None:
    assert import_order() == ["roof", "flag", "tower", "left", "right", "ground"]
    shown = tall.world.json("show", str(tall.world.spec))
    (top,) = [one for one in shown["layers"] if one["name"] == "app-top"]
    assert top["dependencies"] == [*(f"framework-{name}" for name in import_order()), "base@3"]


def test_the_nearest_wins_and_all_is_visible(tall: Case) -> None:
    told = tell(tall, "top")
    assert (told["who"], told["portions"], told["pip"]) == ("roof", 1, False)
    assert told["seen"] == ["base", *DIAMOND]
    assert tell(tall, "low")["seen"] == ["base"] and tell(tall, "low")["who"] == "base"


def test_each_layer_alone_has_its_own_in_front(tall: Case) -> None:
    for name in DIAMOND:
        python = layer(tall.world, tall.result, f"framework-{name}") / "bin/python"
        out = subprocess.check_output([python, "-Ic", "import who; print(who.NAME)"], text=True)
        assert out == f"{name}\n"


def test_the_search_path_is_one_folder_beside_the_standard_library(tall: Case) -> None:
    told = tell(tall, "top")
    path, store = told["path"], str(tall.world.root / "store")
    assert isinstance(path, list) and all(os.path.isabs(entry) and entry.startswith(store) for entry in path)
    assert all(os.path.exists(entry) for entry in path if not entry.endswith(".zip"))
    assert [entry for entry in path if "site-packages" in entry] == [
        f"{told['prefix']}/lib/python{VERSION}/site-packages"
    ]


def test_a_layer_that_is_switched_off_is_not_there(tall: Case) -> None:
    assert "app-off" not in tall.world.paths(tall.result)
    assert sorted(path.name for path in (tall.world.root / "profiles/project/bin").iterdir()) == ["low", "top"]
    assert not (tall.world.spec.parent / "requirements/app-off").exists()


def test_nothing_is_written_after_a_realise_of_everything(tall: Case) -> None:
    again = tall.world.realise()
    assert not again["changed"] and tall.world.paths(again) == tall.world.paths(tall.result)
    python = layer(tall.world, tall.result, "app-top") / "bin/python"
    done = subprocess.run(
        [python, "-Im", "tell", "flag"], capture_output=True, text=True, env=clean_environment(), cwd="/"
    )
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["seen"] == ["flag"]


WIDE = """\
[[runtimes]]
name = "numbers"
python_implementation = "cpython@{version}"
versioned = true
requirements = ["numbering", "tracer; sys_platform == 'win32'"]
platforms = ["{target}", "{other}"]

[[frameworks]]
name = "maths"
runtime = "numbers"
versioned = true
requirements = ["maths"]

[[frameworks]]
name = "client"
runtime = "numbers"
requirements = ["client", "wire>=0.15"]

[[applications]]
name = "both"
launch_module = "modules/both"
support_modules = ["modules/helper.py", "../outside/common"]
frameworks = ["maths", "client"]
requirements = []

[[applications]]
name = "only-maths"
launch_module = "modules/only_maths.py"
frameworks = ["maths"]
versioned = true
requirements = []
platforms = ["{target}"]

[[applications]]
name = "elsewhere"
launch_module = "modules/only_maths.py"
frameworks = ["maths"]
requirements = []
platforms = ["{other}"]
"""
FINE = "Environment launch module executed successfully"
CHECK = """
from importlib.util import find_spec
for name in {absent}:
    assert find_spec(name) is None, name
"""
MODULES = {
    "modules/both/__init__.py": "",
    "modules/both/__main__.py": "import both.text\n",
    "modules/both/text.py": "import maths, client, wire, numbering, helper, common.deep\n"
    + CHECK.format(absent=("pip", "tracer", "uv"))
    + f"print({FINE!r})\n",
    "modules/helper.py": "",
    "modules/only_maths.py": "import maths, numbering\n"
    + CHECK.format(absent=("pip", "client", "wire", "helper", "common"))
    + f"print({FINE!r})\n",
    "../outside/common/__init__.py": "",
    "../outside/common/deep.py": "",
}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Case:
    world = make_project(tmp_path_factory.mktemp("wide"), WIDE.replace("{other}", OTHER), MODULES)
    subprocess.run(["git", "init", "-q", world.folder], check=True)  # modules may come from anywhere in a checkout
    for name, requires in (
        ("numbering", []),
        ("maths", ["numbering>=1"]),
        ("wire", []),
        ("client", ["wire", "numbering"]),
    ):
        make_wheel(world.wheels, name, "1.0", {f"{name}/__init__.py": ""}, requires=requires)
    return Case(world, world.realise())


@pytest.mark.parametrize("application", ["both", "only-maths"])
def test_applications_see_what_they_named_and_nothing_else(wide: Case, application: str) -> None:
    assert start(wide.world, application) == FINE + "\n"
    folder = layer(wide.world, wide.result, f"app-{application}")
    module = json.loads((folder / "share/vstore/layer.json").read_bytes())["launch_module"]
    done = subprocess.run(
        [folder / "bin/python", "-Im", module], capture_output=True, text=True, env=clean_environment()
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, FINE + "\n", "")


@pytest.mark.parametrize("module", ["helper", "common", "common.deep"])
def test_support_modules_run_silently(wide: Case, module: str) -> None:
    python = layer(wide.world, wide.result, "app-both") / "bin/python"
    done = subprocess.run([python, "-Ic", f"import {module}"], capture_output=True, text=True, env=clean_environment())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_layers_of_other_platforms_are_locked_and_not_built(wide: Case) -> None:
    assert "app-elsewhere" not in wide.world.paths(wide.result)
    folder = wide.world.spec.parent / "requirements"
    assert (folder / "app-elsewhere/pylock.app-elsewhere.toml").is_file()
    assert wide.world.json(
        "lock", str(wide.world.spec), "--check", "--local-wheels", str(wide.world.wheels), "--no-index"
    )


def test_locks_name_wheels_and_what_comes_from_below(wide: Case) -> None:
    folder = wide.world.spec.parent / "requirements/framework-client"
    lock = tomllib.loads((folder / "pylock.framework-client.toml").read_text())
    packages = {package["name"]: package for package in lock["packages"]}
    assert set(packages) == {"client", "wire", "numbering"}
    assert "sys_platform == 'from_lower_layer'" in packages["numbering"]["marker"]
    assert "wheels" not in packages["numbering"] and "index" not in packages["numbering"]
    for package in packages.values():
        assert "sdist" not in package
        for one in package.get("wheels", []):
            assert not os.path.isabs(one["path"]) and "\\" not in one["path"] and (folder / one["path"]).is_file()


def test_what_is_below_is_not_installed_again(wide: Case) -> None:
    client = site(layer(wide.world, wide.result, "framework-client"))
    assert sorted(path.name for path in client.iterdir() if path.is_symlink()) == ["numbering"]
    assert (client / "client").is_dir() and not (client / "client").is_symlink()


def test_a_store_in_a_folder_with_an_odd_name(wide: Case, tmp_path: Path) -> None:
    other = World(wide.world.folder, tmp_path / "päth 🐍 'n\"")
    assert other.paths(other.realise()) == wide.world.paths(wide.result)
    assert start(other, "both") == start(other, "only-maths") == FINE + "\n"


@pytest.mark.skipif("export" not in COMMANDS, reason="vstore has no `export` yet")
def test_an_export_to_a_folder_with_an_odd_name(wide: Case, tmp_path: Path) -> None:
    folder = tmp_path / "export 🐍"
    places = ("--output-dir", str(folder), "--local-wheels", str(wide.world.wheels), "--no-index")
    document = wide.world.json("export", str(wide.world.spec), *places)
    records = [record for records in document["layers"].values() for record in records]
    assert {record["layer_name"] for record in records} >= {"numbers", "framework-maths", "app-both"}
    for record in records:
        target = folder / record["install_target"]
        assert target.is_dir()
        module = record.get("app_launch_module")
        if module:
            command = [target / "bin/python", "-Im", module]
            done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), cwd="/")
            assert (done.returncode, done.stdout, done.stderr) == (0, FINE + "\n", "")
