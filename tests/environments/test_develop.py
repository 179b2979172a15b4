"""`vstore develop`: a writable environment over the layers, for real installers, which leaves the store alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from scripts.testing.wheels import make_wheel
from scripts.testing.world import VERSION, World
from vstore.environments.develop import PATH_FILE
from vstore.environments.distributions import InstalledDistribution
from vstore.environments.plan import DevelopmentPlan, plan_environment
from vstore.environments.pyvenv import layer_of
from vstore.values import replace

SITE = f"lib/python{VERSION}/site-packages"
BACKEND = """\
import os, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name, info = "mine-1.0-py3-none-any.whl", "mine-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("_mine.pth", os.path.join(os.getcwd(), "src") + "\\n")
        metadata = "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\nRequires-Dist: midlib\\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", f"_mine.pth,,\\n{info}/METADATA,,\\n{info}/WHEEL,,\\n{info}/RECORD,,\\n")
    return name

build_wheel = build_editable
"""
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "mine"
version = "1.0"
"""


class Environment:
    """The development environment beside the spec of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.place = world.spec.parent / ".venv"

    def develop(self, *arguments: str, code: int = 0) -> dict[str, object]:
        wheels = ("--local-wheels", str(self.world.wheels), "--no-index")
        found = self.world.json("develop", str(self.world.spec), *wheels, *arguments, code=code)
        assert isinstance(found, dict)
        return found

    def run(self, *command: str | Path, code: int = 0) -> str:
        """The output of a program in the environment, which sees the wheels of the world and no index."""
        environment = {**self.world.environment(), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.world.wheels)}
        environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "VIRTUAL_ENV": str(self.place)}
        environment |= {"UV_CACHE_DIR": str(self.world.folder / "uv-cache")}
        program = self.place / "bin" / command[0] if isinstance(command[0], str) else command[0]
        done = subprocess.run(
            [program, *command[1:]],
            env=environment,
            cwd=self.world.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def uv(self, *arguments: str) -> str:
        index = ["--no-index"] if arguments[0] == "install" else []
        return self.run(Path(find_uv_bin()), "pip", *arguments, *index)

    def pip(self, *arguments: str) -> str:
        if not (self.place / "bin/pip").exists():
            pytest.skip("the interpreter has no pip, as Debian's")
        return self.run("pip", *arguments)

    def installed(self) -> dict[str, str]:
        """The versions that uv sees, by name."""
        return {one["name"]: one["version"] for one in json.loads(self.uv("list", "-q", "--format", "json"))}

    def versions(self) -> str:
        return self.run("hello").strip()

    def links_into_folders(self) -> list[Path]:
        """The links in the environment that lead to a folder of the store."""
        store = os.path.realpath(self.world.root)
        paths = (Path(folder, name) for folder, *names in os.walk(self.place) for name in (*names[0], *names[1]))
        links = [path for path in paths if path.is_symlink()]
        assert links
        return [path for path in links if path.is_dir() and Path(os.path.realpath(path)).is_relative_to(store)]

    def store_is_clean(self) -> None:
        assert self.world.json("verify", "--contents")["problems"] == []


@pytest.fixture(scope="module")
def shared(realised: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose store all tests here use: copying one takes seconds."""
    return realised.copy(tmp_path_factory.mktemp("developing") / "w")


@pytest.fixture
def project(shared: World, tmp_path: Path) -> World:
    """A project and wheels of its own, with that store."""
    for name in ("project", "wheels"):
        shutil.copytree(shared.folder / name, tmp_path / "w" / name)
    return World(tmp_path / "w", shared.root)


@pytest.fixture
def made(project: World) -> Environment:
    environment = Environment(project)
    assert environment.develop()["created"]
    return environment


def test_it_shows_the_layers_and_the_working_tree(made: Environment) -> None:
    assert made.versions() == "low 1.0 midlib 1.0 side app"
    module = made.world.spec.parent / "hello.py"
    module.write_text(module.read_text().replace("print(", "print('edited', "))
    assert made.versions().startswith("edited low")
    where = "import hello, midlib; print(hello.__file__, midlib.__file__)"
    mine, layers = made.run("python", "-c", where).splitlines()[-1].split()
    assert Path(mine) == module and Path(layers).is_relative_to(made.world.root)
    assert made.run("midtool").split() == ["midtool", "1.0", str(made.place)]
    assert made.run("python", made.place / "bin/midtool").split()[0] == "midtool"
    assert made.links_into_folders() == []
    record = (made.place / SITE / "midlib-1.0.dist-info/RECORD").read_text()
    assert all(line.startswith("midlib-1.0.dist-info/") for line in record.splitlines())


@pytest.mark.slow
def test_installers_see_what_the_layers_hold(made: Environment) -> None:
    expected = {"low": "1.0", "midlib": "1.0", "ns-app": "1.0", "ns-side": "1.0"}
    assert expected.items() <= made.installed().items()
    for wheel in made.world.wheels.iterdir():
        wheel.unlink()  # so anything that is not seen fails
    make_wheel(made.world.wheels, "above", "1.0", {"above.py": "import midlib\n"}, requires=["midlib", "low"])
    assert "Installed 1 package" in made.uv("install", "above")
    made.run("python", "-c", "import above")
    assert "Checked" in made.uv("check")
    assert "Requirement already satisfied: low" in made.pip("install", "above")
    made.pip("check")


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_the_layers_version_comes_back(made: Environment, installer: str) -> None:
    def run(*arguments: str) -> str:
        return made.pip(*arguments) if installer == "pip" else made.uv(*arguments)

    yes = ["--yes"] if installer == "pip" else []
    run("install", "midlib==2.0")
    assert "midlib 2.0" in made.versions()
    assert made.installed()["midlib"] == "2.0"
    assert made.develop()["hidden"] == ["midlib"]
    assert "midlib 2.0" in made.versions()
    run("uninstall", *yes, "midlib")
    assert "midlib 1.0" in made.versions()
    assert made.develop()["copied"] == ["midlib-1.0.dist-info"]
    assert made.installed()["midlib"] == "1.0"
    assert made.run("midtool")
    run("uninstall", *yes, "midlib", "low")
    assert made.develop()["copied"] == ["low-1.0.dist-info", "midlib-1.0.dist-info"]
    run("install", *(["--force-reinstall"] if yes else ["--reinstall"]), "ns-side")
    assert made.versions() == "low 1.0 midlib 1.0 side app"
    made.store_is_clean()


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_an_editable_project_is_in_front_of_the_layers(made: Environment, installer: str) -> None:
    project = made.world.folder / "mine"
    (project / "src").mkdir(parents=True)
    (project / "backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "src/midlib.py").write_text("VERSION = 'of the tree'\n")
    install = ("install", "-e", str(project))
    made.pip(*install, "--no-build-isolation") if installer == "pip" else made.uv(*install)
    assert "midlib of the tree" in made.versions()
    assert made.develop()["copied"] == []
    assert "midlib of the tree" in made.versions()


def test_what_the_user_installed_hides_the_layers_version() -> None:
    layer = [InstalledDistribution(name=name, folder=f"{name}-1.0.dist-info") for name in ("low", "mid", "top")]
    copies = [replace(one, is_copy=True) for one in layer[:2]]
    own = InstalledDistribution(name="top", folder="top-2.0.dist-info")
    plan = plan_environment(layer, [*copies, own])
    assert plan == DevelopmentPlan(copied=(), removed=(), hidden=("top",))
    plan = plan_environment(layer[:1], [*copies, own], changed=["low-1.0.dist-info"])
    assert plan == DevelopmentPlan(
        copied=("low-1.0.dist-info",), removed=tuple(one.folder for one in copies), hidden=()
    )


def test_it_is_brought_in_step_and_keeps_what_was_installed(made: Environment) -> None:
    make_wheel(made.world.wheels, "own", "1.0", {"own.py": ""}, entry_points={"own": "own:main"})
    made.uv("install", "own")
    assert made.develop()["copied"] == []
    made.world.write_spec("==2.0")
    changed = made.develop()
    assert not changed["created"] and "midlib-2.0.dist-info" in str(changed["copied"])
    assert "midlib 2.0" in made.versions()
    assert {"own": "1.0", "midlib": "2.0"}.items() <= made.installed().items()
    assert (made.place / "bin/own").exists()


def test_only_packages_that_changed_are_copied_again(made: Environment) -> None:
    module = made.world.spec.parent / "hello.py"
    module.write_text(module.read_text() + "\nEDITED = True\n")
    before = made.develop("--dry-run")["path"]
    edited = made.develop()
    assert edited["path"] != before and (edited["copied"], edited["removed"]) == ([], [])
    assert made.installed()["midlib"] == "1.0"
    (made.place / SITE / "low-1.0.dist-info/RECORD").unlink()
    module.write_text(module.read_text() + "\nEDITED = 2\n")
    assert made.develop()["copied"] == ["low-1.0.dist-info"]


def test_a_path_with_dots_is_the_same_environment(made: Environment) -> None:
    assert made.develop("--path", f"{made.place.parent}/../{made.place.parent.name}/.venv")["created"] is False
    assert not any(".." in str(root["name"]) for root in made.world.json("roots")["roots"])


def test_scripts_that_the_layer_has_no_more_are_removed(made: Environment) -> None:
    spec = made.world.spec
    spec.write_text(spec.read_text().replace('"midlib==1.0"', '"low"'))
    (spec.parent / "hello.py").write_text("print('alone')\n")
    made.develop()
    assert made.versions() == "alone"
    assert {"hello", "python"} <= {path.name for path in (made.place / "bin").iterdir()}
    assert not (made.place / "bin/midtool").exists() and not (made.place / "libexec/bin/midtool").exists()


@pytest.mark.slow
def test_it_keeps_its_layer_alive_until_it_is_removed(world: World) -> None:
    made = Environment(world)
    made.develop()
    assert str(made.place / ".vstore-root") in [root["name"] for root in made.world.json("roots")["roots"]]
    made.world.json("forget", "project", "--all")
    made.world.json("gc")
    assert made.versions()
    assert made.world.json("roots", "add", str(made.place))["path"] == str(made.develop()["path"])
    assert made.links_into_folders() == []
    subprocess.run(["rm", "-r", made.place], check=True)
    made.store_is_clean()
    assert made.world.json("gc")["deleted"]
    assert made.world.json("list") == []


def test_path_files_of_a_layer_count(project: World) -> None:
    files = {"added.pth": "import sys; sys.added = True\nextra\n", "extra/found.py": "NAME = 'found'\n"}
    make_wheel(project.wheels, "midlib", "3.0", {**files, "midlib/__init__.py": "VERSION = '3.0'\n"})
    project.write_spec("==3.0")
    environment = Environment(project)
    environment.develop()
    environment.run("python", "-c", "import sys, found; assert sys.added")


@pytest.mark.parametrize("there", ["venv", "folder", "file", "link"])
def test_what_it_did_not_make_stays(project: World, there: str, tmp_path: Path) -> None:
    environment = Environment(project)
    if there == "venv":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment.place], check=True)
    elif there == "folder":
        environment.place.mkdir()
    elif there == "file":
        environment.place.write_text("mine")
    else:
        environment.develop("--path", str(tmp_path / "other"))
        environment.place.symlink_to(tmp_path / "other")
    error = environment.develop(code=2)["error"]
    assert "vstore did not make" in str(error) and "-vstore`, or move it away" in str(error)
    assert layer_of(environment.place) is None or environment.place.is_symlink()


def test_a_dry_run_changes_nothing(project: World) -> None:
    environment = Environment(project)
    found = environment.develop("--dry-run")
    assert found["dry_run"] and "low-1.0.dist-info" in str(found["copied"])
    assert not environment.place.exists()
    project.write_spec("==2.0")
    assert environment.develop("--dry-run")["path"] is None


def test_a_layer_is_chosen_among_several(project: World) -> None:
    environment = Environment(project)
    with project.spec.open("a") as spec:
        spec.write(
            '\n[[applications]]\nname = "other"\nlaunch_module = "hello.py"\nframeworks = ["mid"]\nrequirements = []\n'
        )
    error = environment.develop(code=2)["error"]
    assert "2 applications" in str(error) and "app-other" in str(error)
    assert environment.develop("--layer", "hello")["layer"] == "app-hello"
    assert environment.develop("--layer", "framework-mid", "--path", str(project.folder / "mid"))["created"]
    assert (project.folder / "mid" / SITE / PATH_FILE).exists()
    assert "did you mean 'app-other'" in str(environment.develop("--layer", "app-othr", code=2)["error"])
