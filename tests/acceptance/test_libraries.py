"""Shared libraries across layers: found by `$ORIGIN` through links, or by plain name through an added run path."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.testing.world import World
from tests.acceptance.compiled import extension, library, wheel, why_no_compiler
from tests.acceptance.projects import clean_environment, layer, make_project, site, start
from vstore.build.native.elf import read_elf
from vstore.build.native.run_paths import is_excluded
from vstore.build.record_file import record_entry

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_no_compiler() is not None, reason=str(why_no_compiler()))]

SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = []
platforms = ["{target}"]

[[frameworks]]
name = "publisher"
runtime = "python"
requirements = ["publisher", "further"]

[[frameworks]]
name = "consumers"
frameworks = ["publisher"]
requirements = ["by-origin", "by-name", "by-old-path"]

[[frameworks]]
name = "together"
runtime = "python"
requirements = ["publisher", "further", "by-name"]

[[frameworks]]
name = "hidden"
runtime = "python"
requirements = ["publisher", "further"]
dynlib_exclude = ["publisher/**/libnumbered.so.*", "libplain.so"]

[[frameworks]]
name = "other"
runtime = "python"
requirements = ["other-publisher"]

[[applications]]
name = "split"
launch_module = "ask.py"
frameworks = ["consumers"]
requirements = []

[[applications]]
name = "in-app"
launch_module = "ask.py"
frameworks = ["publisher"]
requirements = ["by-name", "by-origin"]

[[applications]]
name = "one-layer"
launch_module = "ask.py"
frameworks = ["together"]
requirements = []

[[applications]]
name = "broken"
launch_module = "ask.py"
frameworks = ["hidden"]
requirements = ["by-name"]

[[applications]]
name = "alone"
launch_module = "ask.py"
runtime = "python"
requirements = ["closed"]

[[applications]]
name = "nearest"
launch_module = "ask.py"
frameworks = ["other", "publisher"]
requirements = ["by-name"]

[[applications]]
name = "nearest-turned"
launch_module = "ask.py"
frameworks = ["publisher", "other"]
requirements = ["by-name"]
"""

ASK = """\
import importlib, os, subprocess, sys

for name in sys.argv[1:]:
    print(name, importlib.import_module(name).answer())
ours = {"PATH", "HOME", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"}
told = "import os; print(sorted(os.environ))"
child = subprocess.check_output([sys.executable, "-c", told], text=True)
print("leaked", sorted(set(os.environ) - ours), sorted(set(eval(child)) - ours))
"""
NOTHING_LEAKED = "leaked [] []\n"


@dataclass(frozen=True)
class Case:
    """A realised world that tests only read, and what `realise` answered."""

    world: World
    result: Mapping[str, object]

    def layer(self, name: str) -> Path:
        return layer(self.world, self.result, name)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    world = make_project(tmp_path_factory.mktemp("libraries"), SPEC, {"ask.py": ASK})
    make_packages(world, world.folder / "compiled")
    return Case(world, world.realise())


def make_packages(world: World, out: Path) -> None:
    """`libplain.so` and `libnumbered.so.1`, which needs `libfurther.so` of a third package, and their consumers."""
    further = library(out / "further", "libfurther.so", "further", "40")
    plain = library(out / "publisher", "libplain.so", "plain", "1")
    numbered = library(out / "publisher", "libnumbered.so.1", "numbered", "further() + 2", needs=[further])
    wheel(world.wheels, "further", {"further/lib/libfurther.so": further, "further/__init__.py": ""})
    files: dict[str, bytes | str | Path] = {"publisher/__init__.py": ""}
    wheel(world.wheels, "publisher", files | {f"publisher/lib/{one.name}": one for one in (plain, numbered)})
    other = library(out / "other", "libplain.so", "plain", "7")
    wheel(world.wheels, "other-publisher", {"elsewhere/libplain.so": other})
    inner = library(out / "closed", "libinner.so", "inner", "2")
    outer = library(out / "closed", "libouter.so", "outer", "inner() + 1", needs=[inner])
    one = extension(out / "closed", "one", "outer", needs=[outer], run_path="$ORIGIN/../closed.libs", old=True)
    closed: dict[str, bytes | str | Path] = {"closed/__init__.py": "", f"closed/{one.name}": one}
    wheel(world.wheels, "closed", closed | {f"closed.libs/{file.name}": file for file in (inner, outer)})
    path = "$ORIGIN/../publisher/lib"
    for name, run_path, old in (
        ("by-origin", path, False),
        ("by-name", "", False),
        ("by-old-path", "$ORIGIN/no", True),
    ):
        package = name.replace("-", "_")
        one = extension(out / package, "one", "plain", needs=[plain], run_path=run_path, old=old)
        two = extension(out / package, "two", "numbered", needs=[numbered], run_path=run_path, old=old)
        wheel(
            world.wheels,
            name,
            {f"{package}/__init__.py": "", f"{package}/{one.name}": one, f"{package}/{two.name}": two},
        )


def test_what_a_distribution_has_itself_is_left_to_it(case: Case) -> None:
    """As with auditwheel: the module's DT_RPATH also serves the libraries that it loads."""
    out = case.world.folder / "compiled/closed"
    assert start(case.world, "alone", "closed.one") == f"closed.one 3\n{NOTHING_LEAKED}"
    installed = site(case.layer("app-alone"))
    for file in (out / "libinner.so", out / "libouter.so"):
        assert (installed / "closed.libs" / file.name).read_bytes() == file.read_bytes()


def ask(case: Case, application: str, *modules: str) -> str:
    return start(case.world, application, *modules)


def answers(*packages: str) -> str:
    return "".join(f"{package}.one 1\n{package}.two 42\n" for package in packages) + NOTHING_LEAKED


def modules(*packages: str) -> list[str]:
    return [f"{package}.{module}" for package in packages for module in ("one", "two")]


@pytest.mark.parametrize("package", ["by_origin", "by_name", "by_old_path"])
def test_consumer_and_publisher_in_different_layers(case: Case, package: str) -> None:
    assert ask(case, "split", *modules(package)) == answers(package)


@pytest.mark.parametrize("package", ["by_origin", "by_name"])
def test_the_consumer_in_an_application(case: Case, package: str) -> None:
    assert ask(case, "in-app", *modules(package)) == answers(package)


def test_both_in_one_layer(case: Case) -> None:
    assert ask(case, "one-layer", *modules("by_name")) == answers("by_name")


def test_the_consumer_runs_in_its_own_framework_too(case: Case) -> None:
    python = case.layer("framework-consumers") / "bin" / "python"
    code = "from by_name import two; print(two.answer())"
    assert subprocess.check_output([python, "-c", code], text=True, env=clean_environment()) == "42\n"


@pytest.mark.parametrize("module", ["one", "two"])
def test_an_excluded_library_is_not_offered(case: Case, module: str) -> None:
    python = case.layer("app-broken") / "bin" / "python"
    code = f"import by_name.{module}"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 1 and "cannot open shared object file" in done.stderr


def test_an_exclusion_changes_the_layers_name(case: Case) -> None:
    assert (
        case.layer("framework-hidden").name.partition("-")[0]
        != case.layer("framework-publisher").name.partition("-")[0]
    )


def test_the_first_in_import_order_is_taken(case: Case) -> None:
    assert ask(case, "nearest", "by_name.one", "by_name.two") == f"by_name.one 7\nby_name.two 42\n{NOTHING_LEAKED}"
    assert ask(case, "nearest-turned", "by_name.one") == f"by_name.one 1\n{NOTHING_LEAKED}"


def test_only_what_needs_it_is_changed(case: Case) -> None:
    consumers = site(case.layer("framework-consumers"))
    for package, changed in (("by_origin", False), ("by_name", True), ("by_old_path", True)):
        for built in sorted((case.world.folder / "compiled" / package).glob("*.so")):
            installed = consumers / package / built.name
            assert (installed.read_bytes() != built.read_bytes()) is changed, built
    plain = site(case.layer("framework-publisher")) / "publisher/lib/libplain.so"
    assert plain.read_bytes() == (case.world.folder / "compiled/publisher/libplain.so").read_bytes()


def test_the_kind_of_run_path_stays(case: Case) -> None:
    consumers = site(case.layer("framework-consumers"))
    for package, old, before in (("by_name", False, ()), ("by_old_path", True, ("$ORIGIN/no",))):
        for file in sorted((consumers / package).glob("*.so")):
            elf = read_elf(file)
            assert elf is not None and elf.inherited is old
            assert elf.run_path == (*before, "$ORIGIN/../publisher/lib")


def test_records_are_true(case: Case) -> None:
    checked = 0
    for name in ("framework-consumers", "framework-publisher", "framework-together", "app-in-app"):
        folder = site(case.layer(name))
        for record in sorted(folder.glob("*.dist-info/RECORD")):
            for path, digest, size in csv.reader(record.read_text().splitlines()):
                if digest:
                    assert record_entry(path, (folder / path).read_bytes())[1:] == (digest, size), path
                    checked += 1
    assert checked > 20


def test_the_cache_of_wheels_keeps_its_bytes(case: Case) -> None:
    built = case.world.folder / "compiled/by_name"
    cached = [file for file in (case.world.root / "cache").rglob("*.so") if file.parent.name == "by_name"]
    assert {file.read_bytes() for file in cached} == {file.read_bytes() for file in built.glob("*.so")}


def test_built_again_elsewhere_it_has_the_same_name(case: Case, tmp_path: Path) -> None:
    other = World(case.world.folder, tmp_path / "second root")
    assert other.paths(other.realise("-j", "1")) == case.world.paths(case.result)


def test_a_moved_store_still_finds_its_libraries(case: Case, tmp_path: Path) -> None:
    shutil.copytree(case.world.root, tmp_path / "moved", symlinks=True)
    moved = World(case.world.folder, tmp_path / "moved")
    assert start(moved, "split", *modules("by_name", "by_origin")) == answers("by_name", "by_origin")


def test_the_build_log_says_what_was_changed(case: Case) -> None:
    log = case.world.json("log", "framework-consumers")["log"]
    suffix = next((case.world.folder / "compiled/by_name").glob("one*.so")).name
    assert f"by_name/{suffix}: added $ORIGIN/../publisher/lib" in log and "by_origin" not in log


@pytest.mark.parametrize(
    ("path", "patterns", "excluded"),
    [
        ("framework-a/lib/python3.11/site-packages/pub/liba.so", ["*.so"], True),
        ("framework-a/lib/python3.11/site-packages/pub/liba.so.1", ["*.so"], False),
        ("framework-a/lib/python3.11/site-packages/pub/liba.so", ["*"], True),
        ("framework-a/lib/python3.11/site-packages/triton/x/y/liba.so", ["triton/**"], True),
        ("framework-a/lib/python3.11/site-packages/nottriton/liba.so", ["triton/**"], False),
        ("framework-a/lib/python3.11/site-packages/triton/x/y/liba.so", ["triton/**/liba.so"], True),
        ("framework-a/lib/python3.11/site-packages/triton/liba.so", ["triton/**/liba.so"], True),
        ("framework-a/lib/python3.11/site-packages/pub/.hidden.so", ["*.so"], True),
        ("framework-a/lib/python3.11/site-packages/pub/liba.so", ["pub"], False),
        ("framework-a/lib/python3.11/site-packages/pub/liba.so", [], False),
    ],
)
def test_exclusions_match_the_end_of_the_path(path: str, patterns: list[str], excluded: bool) -> None:
    assert is_excluded(path, patterns) is excluded


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "no strings", "far away"])
def test_files_that_are_no_libraries_are_left_alone(case: Case, tmp_path: Path, damage: str) -> None:
    real = (case.world.folder / "compiled/publisher/libnumbered.so.1").read_bytes()
    dynamic = real.index(b"\x02\0\0\0\x06\0\0\0") + 8  # PT_DYNAMIC, readable and writable; then its offset
    made = {
        "empty": b"",
        "text": b"not a library",
        "cut": real[:900],
        "no strings": real[:64] + os.urandom(4000),
        "far away": real[:dynamic] + b"\xff" * 8 + real[dynamic + 8 :],
    }
    (tmp_path / "lib.so").write_bytes(made[damage])
    assert read_elf(tmp_path / "lib.so") is None
