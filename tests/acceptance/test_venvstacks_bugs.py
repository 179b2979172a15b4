"""What goes wrong in venvstacks 0.8.0, each shown to be impossible here, on the real command line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import VERSION, World
from tests.acceptance.compiled import extension, library, wheel, why_no_compiler
from tests.acceptance.projects import clean_environment, layer, make_project, site, start, write_spec
from vstore import __version__
from vstore.build.interpreter.local import find_local
from vstore.cli.commands import COMMANDS
from vstore.python_version import PythonRequirement
from vstore.target import Target

pytestmark = pytest.mark.slow

RUNTIME = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = []
platforms = ["{target}"]
"""
SPEC = (
    RUNTIME
    + """
[[frameworks]]
name = "base"
runtime = "python"
versioned = true
requirements = ["tool=={tool}"]

[[applications]]
name = "say"
launch_module = "say.py"
frameworks = ["base"]
requirements = [{extra}]
"""
)
SAY = "import tool\nprint('one', tool.VERSION)\n"


def spec(tool: str = "1.0", extra: str = "") -> str:
    return SPEC.replace("{tool}", tool).replace("{extra}", extra)


@pytest.fixture(scope="module")
def realised(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One realised world, to be copied."""
    world = make_project(tmp_path_factory.mktemp("bugs"), spec(), {"say.py": SAY})
    for version in ("1.0", "2.0"):
        make_wheel(world.wheels, "tool", version, {"tool/__init__.py": f"VERSION = {version!r}\n"})
    make_wheel(world.wheels, "left", "1.0", {"left/__init__.py": ""})
    world.realise()
    return world


@pytest.fixture
def world(realised: World, tmp_path: Path) -> World:
    return realised.copy(tmp_path / "w")


def offline(world: World, command: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """`publish` or `export` the project's spec to a folder, and answer its JSON."""
    if command not in COMMANDS:
        pytest.skip(f"vstore has no `{command}` yet")
    places = ("--output-dir", str(folder), "--local-wheels", str(world.wheels), "--no-index")
    document: dict[str, Any] = world.json(command, str(world.spec), *places, *arguments)
    return document


def checksums(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("*.tar.*"))}


def test_1_a_dropped_package_is_gone(world: World) -> None:
    """There, a dependency that is no longer locked stays importable and is shipped."""
    write_spec(world, spec(extra='"left", "tool==1.0"'))
    python = layer(world, world.realise(), "app-say") / "bin" / "python"
    subprocess.run([python, "-c", "import left"], check=True)
    write_spec(world, spec(tool="2.0"))
    folder = layer(world, world.realise(), "app-say")
    done = subprocess.run([folder / "bin/python", "-c", "import left"], capture_output=True, text=True)
    assert done.returncode == 1 and "ModuleNotFoundError" in done.stderr
    assert [path for path in folder.rglob("*") if "left" in path.name] == []
    assert start(world, "say") == "one 2.0\n"  # no stale copy hides the framework's new one


def test_2_a_changed_patch_version_of_python_is_installed(world: World) -> None:
    """There, the new version is recorded, while the old interpreter stays."""
    versions = [str(python.version) for python in find_local(os.environ, PythonRequirement("cpython", VERSION))]
    mine = next(version for version in versions if version.count(".") == 2)
    other = next((version for version in versions if version != mine), None)
    if other is None:
        pytest.skip(f"this machine has no second CPython {VERSION}")
    for wanted in (mine, other, mine):
        write_spec(world, spec().replace("{version}", wanted))
        python = layer(world, world.realise(), "app-say") / "bin" / "python"
        told = subprocess.check_output([python, "-c", "import platform; print(platform.python_version())"], text=True)
        assert told == f"{wanted}\n"
        assert f"version = {wanted}" in (python.parents[1] / "pyvenv.cfg").read_text()


def test_2_a_python_that_cannot_be_had_is_an_error(world: World) -> None:
    before = start(world, "say")
    write_spec(world, spec().replace("{version}", f"{VERSION}.199"))
    error = world.realise(code=5, UV_OFFLINE="1")["error"]
    assert f"{VERSION}.199" in error["message"]
    assert start(world, "say") == before
    assert f"{VERSION}.199" not in json.dumps(world.json("list"))


def test_3_an_edited_launch_module_is_published(world: World, tmp_path: Path) -> None:
    """There, publishing again gives the old archive with the old code, without a word."""
    (world.spec.parent / "say.py").write_text("print('edited')\n")
    world.realise()
    assert start(world, "say") == "edited\n"
    offline(world, "publish", tmp_path / "out")
    before = checksums(tmp_path / "out")
    (world.spec.parent / "say.py").write_text("print('edited again')\n")
    offline(world, "publish", tmp_path / "out")
    after = checksums(tmp_path / "out")
    assert before and {name.partition(".tar")[0] for name in after if after[name] != before.get(name)} >= {"app-say"}
    assert {name for name in after if after[name] == before.get(name)} >= {name for name in after if "base" in name}


def test_4_an_export_does_not_change_later(world: World, tmp_path: Path) -> None:
    """There, exports share files with the build tree, which is updated in place."""
    offline(world, "export", tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    link = tmp_path / "first"
    world.realise("--out-link", str(link))
    (world.spec.parent / "say.py").write_text("print('edited')\n")
    world.realise()
    assert subprocess.check_output([link / "bin" / "say"], text=True) == "one 1.0\n"
    assert {path: path.read_bytes() for path in before} == before


def test_4_a_generation_does_not_change_later(world: World) -> None:
    (world.spec.parent / "say.py").write_text("print('edited')\n")
    world.realise()
    assert start(world, "say") == "edited\n"
    world.run("rollback", "project")
    assert start(world, "say") == "one 1.0\n"


def test_5_nothing_depends_on_the_age_of_the_cache(world: World, tmp_path: Path) -> None:
    """There, archives keep the times of files that were in uv's cache before the lock was made."""
    first = world.paths(world.realise())
    other = World(world.folder, tmp_path / "other")
    shutil.copytree(world.root / "cache", other.root / "cache", symlinks=True)
    for path in (other.root / "cache").rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    assert other.paths(other.realise()) == first
    offline(world, "publish", tmp_path / "a")
    offline(other, "publish", tmp_path / "b")
    assert checksums(tmp_path / "a") == checksums(tmp_path / "b") != {}


def test_6_bytecode_is_of_the_layers_own_python(tmp_path: Path) -> None:
    """There, layers on another Python get bytecode of the one that exports."""
    minors = sorted({python.version.feature for python in find_local(os.environ)} - {VERSION})
    other = next((minor for minor in minors if tuple(map(int, minor.split("."))) >= (3, 10)), None)
    if other is None:
        pytest.skip(f"this machine has no CPython beside {VERSION}")
    second = spec().replace('"python"', '"second"').replace('"base"', '"base2"').replace('"say"', '"say2"')
    world = make_project(tmp_path, spec() + second.replace("{version}", other), {"say.py": SAY})
    make_wheel(world.wheels, "tool", "1.0", {"tool/__init__.py": "VERSION = '1.0'\n"})
    result = world.realise()
    assert start(world, "say") == start(world, "say2") == "one 1.0\n"
    for name, version in (
        ("framework-base", VERSION),
        ("app-say", VERSION),
        ("framework-base2", other),
        ("app-say2", other),
    ):
        folder = layer(world, result, name)
        tags = {path.name.split(".")[-2] for path in folder.rglob("*.pyc")}
        assert tags == {f"cpython-{version.replace('.', '')}"}, name


def test_7_versioned_layers_are_not_exported_again(world: World, tmp_path: Path) -> None:
    """There, a layer with a number in its name is exported anew each time."""
    assert any("framework-base" in name for name in offline(world, "export", tmp_path / "out")["written"])
    assert offline(world, "export", tmp_path / "out")["written"] == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (RUNTIME.replace("requirements = []\n", ""), "missing 'requirements'"),
        (RUNTIME + "speed = 9\n", "speed: unknown key"),
        (RUNTIME.replace('python_implementation = "cpython@{version}"\n', ""), "missing 'python_implementation'"),
        (RUNTIME.replace("cpython@{version}", "ironpython@3.4.1"), "ironpython"),
        (RUNTIME + '[[applications]]\nname = "a"\nruntime = "python"\nrequirements = []\n', "missing 'launch_module'"),
        (RUNTIME.replace('["{target}"]', '"{target}"'), "expected an array"),
        (RUNTIME.replace('"python"', '"a/b"'), "is not a valid folder"),
    ],
)
def test_8_wrong_fields_are_told_without_a_traceback(tmp_path: Path, broken: str, said: str) -> None:
    world = make_project(tmp_path, broken)
    for command in ("show", "lock", "realise"):
        out, err = world.run(command, str(world.spec), code=3)
        assert said in err and "Traceback" not in out + err


@pytest.mark.parametrize("prefix", ["framework-", "app-"])
def test_9_a_runtime_cannot_take_the_name_of_another_layer(tmp_path: Path, prefix: str) -> None:
    """There, the check for reserved prefixes never fires, and two layers share a folder."""
    world = make_project(tmp_path, RUNTIME.replace('"python"', f'"{prefix}x"'))
    _, err = world.run("show", str(world.spec), code=3)
    assert f'starts with the reserved prefix "{prefix}"' in err


def test_10_what_was_locked_can_be_locked_afresh(world: World) -> None:
    """There, a package without a wheel for one platform passes in a committed lock, and cannot be locked anew."""
    folder = world.spec.parent / "requirements"
    seen = []
    for _ in range(2):
        shutil.rmtree(folder)
        world.run("lock", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
        seen.append({file: file.read_bytes() for file in folder.rglob("pylock.*.toml")})
    assert seen[0] == seen[1] and len(seen[0]) == 3


def test_10_a_wheel_that_is_missing_for_one_platform_is_told_whenever_it_is_locked(tmp_path: Path) -> None:
    targets = '["win_amd64", "win_arm64", "{target}"]'
    text = RUNTIME.replace('["{target}"]', targets).replace("[]", "[\"only; sys_platform == 'win32'\"]")
    world = make_project(tmp_path, text)
    make_wheel(world.wheels, "only", "1.0", {"only.py": ""}, tag="py3-none-win_amd64")
    for _ in range(2):
        _, err = world.run("lock", str(world.spec), "--local-wheels", str(world.wheels), "--no-index", code=4)
        assert "only" in err and "ARM64" in err.upper() and "set `platforms = [" in err and "Traceback" not in err


def test_11_the_version_is_told() -> None:
    done = subprocess.run([sys.executable, "-m", "vstore", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and __version__ in done.stdout


@pytest.mark.skipif(why_no_compiler() is not None, reason=str(why_no_compiler()))
def test_12_a_library_with_a_version_behind_so_is_found(tmp_path: Path) -> None:
    text = RUNTIME.replace("requirements = []", 'requirements = ["cuda-like"]') + (
        '[[applications]]\nname = "ask"\nlaunch_module = "ask.py"\nruntime = "python"\nrequirements = ["user"]\n'
    )
    world = make_project(tmp_path, text, {"ask.py": "from user import native\nprint(native.answer())\n"})
    lib = library(tmp_path / "c", "libcuda_like.so.12", "twelve", "12")
    wheel(world.wheels, "cuda-like", {"nvidia/cuda_like/lib/libcuda_like.so.12": lib})
    native = extension(tmp_path / "c", "native", "twelve", needs=[lib])
    wheel(world.wheels, "user", {"user/__init__.py": "", f"user/{native.name}": native})
    world.realise()
    assert start(world, "ask") == "12\n"


def test_13_realising_a_part_loses_nothing_of_the_rest(world: World) -> None:
    """There, the combined manifest is rewritten with only the layers of the last run."""
    stack = world.root / "profiles/project/stack.json"
    before = stack.read_bytes()
    write_spec(world, spec(tool="2.0"))
    result = world.realise("--include", "framework-base")
    assert result["generation"] is None and "app-say" not in world.paths(result)
    assert stack.read_bytes() == before and start(world, "say") == "one 1.0\n"


def test_13_publishing_a_part_loses_nothing_of_the_rest(world: World, tmp_path: Path) -> None:
    offline(world, "publish", tmp_path / "out")
    combined = tmp_path / "out/__venvstacks__/venvstacks.json"
    before = names_in(json.loads(combined.read_bytes()))
    offline(world, "publish", tmp_path / "out", "--include", "framework-base")
    assert names_in(json.loads(combined.read_bytes())) == before >= {"python", "framework-base", "app-say"}


def names_in(document: dict[str, dict[str, list[dict[str, str]]]]) -> set[str]:
    return {record["layer_name"] for records in document["layers"].values() for record in records}


def test_14_an_application_follows_its_versioned_framework(world: World) -> None:
    """There, an application keeps pointing to the old version, and its archive names it."""
    old = world.paths(world.realise())
    write_spec(world, spec(tool="2.0"))
    result = world.realise()
    new = world.paths(result)
    assert old["framework-base"] != new["framework-base"] and old["app-say"] != new["app-say"]
    folder = layer(world, result, "app-say")
    targets = {os.readlink(path) for path in folder.rglob("*") if path.is_symlink()}
    assert any(new["framework-base"] in target for target in targets)
    assert not any(old["framework-base"] in target for target in targets)
    references = world.json("info", new["app-say"])["references"]
    assert new["framework-base"] in references and old["framework-base"] not in references
    assert (site(folder) / "tool/__init__.py").read_text() == "VERSION = '2.0'\n"


def test_14_what_is_published_names_the_same_versions(world: World, tmp_path: Path) -> None:
    offline(world, "publish", tmp_path / "out")
    write_spec(world, spec(tool="2.0"))
    world.realise()
    offline(world, "publish", tmp_path / "out")
    document = json.loads((tmp_path / "out/__venvstacks__/venvstacks.json").read_bytes())
    (framework,) = document["layers"]["frameworks"]
    (application,) = document["layers"]["applications"]
    assert application["required_layers"] == [framework["install_target"]]
    assert Target.host() == framework["target_platform"]


def test_the_environment_of_a_test_helps_nobody() -> None:
    assert set(clean_environment()) == {"PATH", "HOME", "LC_ALL"}
