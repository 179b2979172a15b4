"""A project of each other tool is proposed as layers, which lock with every pin kept, and run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from uv import find_uv_bin

from scripts.testing.wheels import make_wheel
from scripts.testing.world import VERSION, World

pytestmark = pytest.mark.slow
PINNED = {"numpy": "1.0", "torch": "2.0", "webby": "1.0", "helper": "1.0"}  # each also has a newer version
PROJECT = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
dependencies = ["torch>=2", "webby"]

[project.scripts]
shop = "shop.main:start"
"""
POETRY = """\
[tool.poetry]
name = "shop"
version = "1"

[tool.poetry.dependencies]
python = "^3.11"
torch = "^2.0"
webby = ">=1"

[tool.poetry.scripts]
shop = "shop.main:start"
"""
MAIN = """\
import helper, numpy, torch, webby

def start():
    print("shop", torch.VERSION, numpy.VERSION, webby.VERSION, helper.VERSION)
"""
OUTPUT = "shop 2.0 1.0 1.0 1.0"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A store that several projects use, and two versions of each package."""
    folder = tmp_path_factory.mktemp("world")
    world = World(folder, folder / "root")
    world.wheels.mkdir()
    for name, requires in {"numpy": [], "torch": ["numpy"], "webby": ["helper"], "helper": []}.items():
        for version in (PINNED[name], "3.0"):
            make_wheel(world.wheels, name, version, {f"{name}.py": f"VERSION = {version!r}\n"}, requires=requires)
    return world


def uv(world: World, folder: Path, *arguments: str) -> str:
    command = [find_uv_bin(), *arguments, "--offline", "--no-config"]
    environment = {**world.environment(), "UV_CACHE_DIR": str(world.folder / "uv"), "UV_PYTHON": sys.executable}
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def code(folder: Path) -> None:
    (folder / "shop").mkdir()
    (folder / "shop/__init__.py").touch()
    (folder / "shop/main.py").write_text(MAIN)


def own_main(folder: Path) -> None:
    """The module that a user writes in place of the template."""
    (folder / "main.py").write_text(f"{MAIN}\nstart()\n")


def constraints() -> list[str]:
    return [f"{name}=={version}" for name, version in PINNED.items()]


def uv_project(world: World, folder: Path) -> str:
    settings = f"\n[tool.uv]\nconstraint-dependencies = {constraints()}\n"
    (folder / "pyproject.toml").write_text(PROJECT + settings)
    uv(world, folder, "lock")
    (folder / "pyproject.toml").write_text(PROJECT)
    code(folder)
    return "pyproject.toml"


def uv_lock(world: World, folder: Path) -> str:
    uv_project(world, folder)
    (folder / "pyproject.toml").unlink()
    own_main(folder)
    return "uv.lock"


def pylock(world: World, folder: Path) -> str:
    (folder / "wanted.in").write_text("torch\nwebby\n")
    (folder / "pins.txt").write_text("\n".join(constraints()))
    uv(world, folder, "pip", "compile", "wanted.in", "-c", "pins.txt", "--format", "pylock.toml", "-o", "pylock.toml")
    (folder / "wanted.in").unlink()
    (folder / "pins.txt").unlink()
    own_main(folder)
    return "pylock.toml"


def requirements(world: World, folder: Path) -> str:
    (folder / "base.txt").write_text("webby==1.0 \\\n    --hash=sha256:00\ntorch==2.0  # the framework\n")
    (folder / "pins.txt").write_text("helper==1.0\nnumpy==1.0\n")
    (folder / "requirements.txt").write_text("-r base.txt\n-c pins.txt\n")
    own_main(folder)
    return "requirements.txt"


def poetry(world: World, folder: Path) -> str:
    (folder / "pyproject.toml").write_text(POETRY)
    needs = {"torch": "numpy", "webby": "helper"}
    lock = ""
    for name, version in PINNED.items():
        lock += f'[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\npython-versions = ">=3.9"\n'
        lock += f'files = [{{file = "{name}-{version}-py3-none-any.whl", hash = "sha256:00"}}]\n'
        lock += f'[package.dependencies]\n{needs[name]} = "*"\n' if name in needs else ""
    (folder / "poetry.lock").write_text(lock + '[metadata]\nlock-version = "2.1"\n')
    code(folder)
    return "pyproject.toml"


def pdm(world: World, folder: Path) -> str:
    (folder / "pyproject.toml").write_text(PROJECT)
    needs = {"torch": ["numpy"], "webby": ["helper"]}
    lock = ""
    for name, version in PINNED.items():
        lock += f'[[package]]\nname = "{name}"\nversion = "{version}"\ngroups = ["default"]\n'
        lock += f'dependencies = {needs.get(name, [])}\nfiles = [{{file = "{name}-{version}-py3-none-any.whl"}}]\n'
    (folder / "pdm.lock").write_text(lock)
    code(folder)
    return "pdm.lock"


def conda(world: World, folder: Path) -> str:
    pip = "".join(f"      - {one}\n" for one in constraints())
    text = f"name: shop\nchannels: [defaults]\ndependencies:\n  - python={VERSION}\n  - pip\n  - pip:\n{pip}"
    (folder / "environment.yml").write_text(text)
    own_main(folder)
    return "environment.yml"


def script(world: World, folder: Path) -> str:
    dependencies = "".join(f'#   "{one}",\n' for one in constraints())
    head = f'# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n{dependencies}# ]\n# ///\n'
    (folder / "shop.py").write_text(f"{head}{MAIN}\nstart()\n")
    return "shop.py"


def environment(world: World, folder: Path) -> str:
    uv(world, folder, "venv", ".venv", "--python", sys.executable)
    uv(world, folder, "pip", "install", "--python", ".venv", *constraints())
    own_main(folder)
    return ".venv"


FORMATS = (uv_project, uv_lock, pylock, requirements, poetry, pdm, conda, script, environment)


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
def test_every_pin_is_kept_and_the_application_runs(
    world: World, tmp_path: Path, write: Callable[[World, Path], str]
) -> None:
    source = write(world, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    document = world.json("init", str(tmp_path), "--from", str(tmp_path / source), "--offline")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name in before} == before
    layers = {layer["name"]: layer["requirements"] for layer in document["layers"]}
    assert [canonicalize_name(Requirement(one).name) for one in layers["torch"]] == ["torch"]
    assert document["layers"][-1]["kind"] == "application"
    wheels = ("--local-wheels", str(world.wheels), "--no-index")
    world.run("realise", str(tmp_path / "spec.toml"), "--profile", write.__name__, *wheels)
    assert locked(tmp_path) == {name: Version(version) for name, version in PINNED.items()}
    app = document["layers"][-1]["name"]
    done = subprocess.run([world.root / "profiles" / write.__name__ / "bin" / app], capture_output=True, text=True)
    assert done.stdout.strip() == OUTPUT, done.stderr


def locked(folder: Path) -> dict[str, Version]:
    """The versions of the packages that the layers install."""
    found = {}
    for lock in folder.glob("requirements/*/pylock.*.toml"):
        for package in tomllib.loads(lock.read_text()).get("packages", []):
            if "marker" not in package:
                found[package["name"]] = Version(package["version"])
    return found


def test_a_dry_run_writes_nothing(world: World, tmp_path: Path) -> None:
    requirements(world, tmp_path)
    before = sorted(os.listdir(tmp_path))
    out, _ = world.run("init", str(tmp_path), "--from", str(tmp_path), "--dry-run", "--offline")
    assert "to take the optional" not in out
    assert sorted(os.listdir(tmp_path)) == before
    assert "[[frameworks]]" in out and '"torch==2.0"' in out and "hashes of files" in out


def test_the_command_for_the_rest_of_a_project_works(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "my project"
    folder.mkdir()
    optional = 'optional-dependencies.more = ["torch==2.0"]\ndependencies = []\n'
    (folder / "pyproject.toml").write_text(f'[project]\nname = "mine"\nversion = "1"\n{optional}')
    given = ("init", str(folder), "--from", str(folder / "pyproject.toml"), "--offline")
    out, _ = world.run(*given)
    assert (folder / "vstore.schema.json").name in out and f"next: vstore realise '{folder}/spec.toml'" in out
    _, err = world.run(*given, code=2)
    assert "exists already" in err and "remove it first" in err
    (line,) = (line for line in out.splitlines() if line.startswith("to take the optional parts over: "))
    removed, again = (shlex.split(one) for one in line.partition(": ")[2].split(" && "))
    assert removed == ["rm", str(folder / "spec.toml")] and again[0] == "vstore"
    (folder / "spec.toml").unlink()
    out, _ = world.run(*again[1:], "--offline")
    assert "torch" in (folder / "spec.toml").read_text() and "to take the optional" not in out


def test_a_spec_of_venvstacks_is_used_as_it_is(world: World, tmp_path: Path) -> None:
    spec = tmp_path / "venvstacks.toml"
    spec.write_text(f'[[runtimes]]\nname = "p"\npython_implementation = "cpython@{VERSION}"\nrequirements = []\n')
    assert world.json("init", str(tmp_path), "--from", str(spec)) == {"spec": str(spec), "files": []}
    assert os.listdir(tmp_path) == ["venvstacks.toml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "nothing.txt"), "does not exist"),
        (("--from", "note.md"), "has no known format"),
        (("--from", "pyproject.toml", "--extra", "none"), "no such extra: none"),
        (("--from", "pylock.broken.toml"), "not valid TOML"),
        (("--extra", "none"), "need --from"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_usage(
    world: World, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    for name, text in {"note.md": "", "pyproject.toml": PROJECT, "pylock.broken.toml": "["}.items():
        (tmp_path / name).write_text(text)
    given = [str(tmp_path / one) if one.count(".") else one for one in arguments]
    _, err = world.run("init", str(tmp_path), *given, code=2)
    assert message in err and "hint:" in err
