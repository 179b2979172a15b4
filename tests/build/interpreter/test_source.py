import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from vstore.build.interpreter.adopt import adopt
from vstore.build.interpreter.local import LocalPython, find_local
from vstore.build.interpreter.relocate import relocatable_sysconfig
from vstore.build.interpreter.source import build_interpreter, choose_source
from vstore.errors import BuildError, ToolError
from vstore.fs.trees.scan import scan
from vstore.lock.model import Download, InterpreterPin
from vstore.python_version import PythonRequirement
from vstore.reporter import NullReporter
from vstore.target import Target
from vstore.uv import Uv

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="adopting is only possible on Linux")
HOST = str(Target.host())
KEY = {"linux_x86_64": "linux-x86_64-gnu", "linux_aarch64": "linux-aarch64-gnu"}[HOST]


class Notes(NullReporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def standing_alone() -> LocalPython:
    found = [one for one in find_local(os.environ) if not one.is_system]
    if not found:
        pytest.skip("no CPython of its own prefix here")
    return next((one for one in found if one.version.feature == "3.11"), found[0])


def exactly(python: LocalPython) -> PythonRequirement:
    return PythonRequirement("cpython", str(python.version))


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalPython, Path]:
    python = standing_alone()
    tree = tmp_path_factory.mktemp("adopted") / "tree"
    tree.mkdir()
    adopt(python, tree, jobs=2, reporter=NullReporter())
    return python, tree


def uv_for(tmp_path: Path, **settings: str) -> Uv:
    names = ("PATH", "HOME", "PYENV_ROOT")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    return Uv(cache_dir=tmp_path / "uv-cache", environment={**environment, **settings})


def run(python: Path, program: str) -> str:
    done = subprocess.run([python, "-I", "-B", "-c", program], env={}, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_copy_is_complete_and_holds_nothing_else(adopted: tuple[LocalPython, Path]) -> None:
    python, tree = adopted
    assert sorted(os.listdir(tree / "bin")) == ["python", "python3", python.program_name]
    assert os.readlink(tree / "bin" / "python3") == python.program_name
    stdlib = tree / "lib" / python.program_name
    assert os.listdir(stdlib / "site-packages") == []
    assert not [path for path in tree.rglob("*") if path.name in ("tests", "idle_test") or path.suffix == ".a"]
    assert list(stdlib.rglob("test")) == [stdlib / "test"] and not list(stdlib.glob("test/test_*"))
    assert run(tree / "bin" / "python3", "from test.support import os_helper; print(os_helper.__name__)")
    assert (tree / "include" / python.program_name / "Python.h").is_file()
    assert (stdlib / "__pycache__" / f"os.cpython-{python.program_name[6:].replace('.', '')}.pyc").is_file()
    scan(tree)  # no link leaves it


def test_a_copy_shares_no_file_with_its_origin(adopted: tuple[LocalPython, Path]) -> None:
    assert {path.stat().st_nlink for path in adopted[1].rglob("*") if path.is_file()} == {1}


def test_no_text_and_no_run_path_names_the_origin(adopted: tuple[LocalPython, Path]) -> None:
    python, tree = adopted
    origin = os.fsencode(python.prefix)
    holding = {
        path.name.partition(".so")[0] for path in tree.rglob("*") if path.is_file() and origin in path.read_bytes()
    }
    assert holding <= {f"lib{python.program_name}", python.program_name}  # compiled in: what getpath falls back to
    for file in (tree / "bin" / python.program_name, *tree.glob("lib/*.so*"), *tree.rglob("lib-dynload/*.so")):
        dynamic = subprocess.run(["readelf", "-d", file], capture_output=True).stdout
        assert origin not in dynamic


def test_a_copy_that_is_moved_starts_with_its_origin_hidden(adopted: tuple[LocalPython, Path], tmp_path: Path) -> None:
    python, tree = adopted
    moved = tmp_path / "moved"
    shutil.copytree(tree, moved, symlinks=True)
    program = "import ssl, sqlite3, zlib, ctypes, sys; print(sys.base_prefix)"
    hiding = f'mount -t tmpfs none "{python.prefix}" && exec "{moved}/bin/python3" -I -B -c "{program}"'
    done = subprocess.run(["unshare", "-rm", "sh", "-c", hiding], capture_output=True, text=True)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"cannot hide a folder here: {done.stderr.strip()}")
    assert done.stdout.strip() == str(moved), done.stderr


def test_extensions_can_be_built_with_a_copy(adopted: tuple[LocalPython, Path], tmp_path: Path) -> None:
    python, tree = adopted
    if shutil.which("gcc") is None:
        pytest.skip("no compiler here")
    (tmp_path / "m.c").write_text(
        '#include <Python.h>\nstatic struct PyModuleDef d = {PyModuleDef_HEAD_INIT, "m", 0, -1, 0};\n'
        "PyMODINIT_FUNC PyInit_m(void) { return PyModule_Create(&d); }\n"
    )
    get = "import sysconfig; print(sysconfig.get_config_var('LDSHARED'), '-fPIC -I', sysconfig.get_path('include'))"
    command = run(tree / "bin" / "python3", get)
    assert str(python.prefix) not in command
    subprocess.run(f"{command} m.c -o m.so", shell=True, check=True, cwd=tmp_path)
    assert "m.so" in run(
        tree / "bin" / "python3", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import m; print(m)"
    )


def test_adopting_twice_gives_the_same_tree(adopted: tuple[LocalPython, Path], tmp_path: Path) -> None:
    python, tree = adopted
    again = tmp_path / "again"
    again.mkdir()
    adopt(python, again, jobs=1, reporter=NullReporter())
    assert scan(again).digest == scan(tree).digest


def test_an_interpreter_that_shares_its_prefix_is_adopted_too(tmp_path: Path) -> None:
    found = [one for one in find_local(os.environ) if one.is_system]
    if not found:
        pytest.skip("no CPython of the system here")
    adopt(found[0], tmp_path / "tree", jobs=2, reporter=NullReporter())
    python = tmp_path / "tree" / "bin" / "python3"
    assert run(python, "import sys, zlib; print(sys.base_prefix)") == str(tmp_path / "tree")


def test_a_virtual_environment_leads_to_its_base(adopted: tuple[LocalPython, Path], tmp_path: Path) -> None:
    python, _ = adopted
    subprocess.run([python.executable, "-m", "venv", "--without-pip", "--copies", tmp_path / "venv"], check=True)
    found = find_local({"PATH": str(tmp_path / "venv" / "bin")}, exactly(python))
    assert {one.prefix for one in found if one.version == python.version} == {python.prefix}


def test_sysconfig_takes_the_prefix_from_where_it_is() -> None:
    text = (
        "# made\nbuild_time_vars = {'prefix': '/o/x', 'CC': 'gcc -I/o/x/include', 'abs_builddir': '/tmp/b', 'n': 1}\n"
    )
    made = relocatable_sysconfig(text, "/o/x")
    assert "/o/x" not in made and "/tmp/b" not in made
    values: dict[str, dict[str, object]] = {}
    exec(made, values)
    assert values["build_time_vars"]["CC"] == f"gcc -I{sys.base_prefix}/include"
    assert values["build_time_vars"]["n"] == 1


def test_an_interpreter_nobody_has_names_those_that_are_here(tmp_path: Path) -> None:
    here = standing_alone()
    with pytest.raises(BuildError, match=r"CPython 3\.99 is not available") as caught:
        choose_source(
            PythonRequirement("cpython", "3.99"), pin=None, uv=replace(uv_for(tmp_path), offline=True), target=HOST
        )
    assert str(here.version) in caught.value.details[0]
    assert caught.value.hint


def test_without_a_reachable_site_one_of_this_machine_is_adopted_and_said_so(tmp_path: Path) -> None:
    here = standing_alone()
    uv = uv_for(tmp_path, UV_PYTHON_INSTALL_MIRROR=f"file://{tmp_path}/nothing-here")
    source = choose_source(exactly(here), pin=None, uv=uv, target=HOST)
    assert source.pin == InterpreterPin(implementation="cpython", version=str(here.version), source="adopted")
    assert source.note is not None and "adopting" in source.note and "\n" not in source.note


def test_a_pinned_managed_interpreter_is_never_replaced_by_an_adopted_one(tmp_path: Path) -> None:
    here = standing_alone()
    gone = Download(url=f"file://{tmp_path}/gone/python.tar.gz", sha256="0" * 64)
    pin = InterpreterPin(implementation="cpython", version=str(here.version), source="managed", downloads={HOST: gone})
    source = choose_source(exactly(here), pin=pin, uv=uv_for(tmp_path), target=HOST)
    assert source.pin == pin and source.local is None
    (tmp_path / "tree").mkdir()
    with pytest.raises((BuildError, ToolError), match="CPython"):
        build_interpreter(
            source, tmp_path / "tree", uv=uv_for(tmp_path, UV_HTTP_RETRIES="0"), reporter=NullReporter(), jobs=1
        )
    assert list((tmp_path / "tree").iterdir()) == []


def test_a_pinned_adopted_interpreter_that_is_not_here_is_an_error(tmp_path: Path) -> None:
    pin = InterpreterPin(implementation="cpython", version="3.11.99", source="adopted")
    with pytest.raises(BuildError, match=r"CPython 3\.11\.99 is not on this machine"):
        choose_source(PythonRequirement("cpython", "3.11"), pin=pin, uv=uv_for(tmp_path), target=HOST)


@pytest.fixture(scope="module")
def mirror(adopted: tuple[LocalPython, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A folder with a build as uv expects it, and the list of downloads that names it."""
    python, tree = adopted
    folder = tmp_path_factory.mktemp("mirror")
    archive = folder / f"cpython-{python.version}-install_only.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(
            tree,
            "python",
            filter=lambda one: None if "/__pycache__" in one.name or "_sysconfigdata" in one.name else one,
        )
        for plain in python.stdlib.glob("_sysconfigdata*.py"):
            tar.add(plain, f"python/lib/{python.program_name}/{plain.name}")
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    system, machine, libc = KEY.split("-")
    entry = {
        "name": "cpython",
        "arch": {"family": machine, "variant": None},
        "os": system,
        "libc": libc,
        "major": python.version.major,
        "minor": python.version.minor,
        "patch": python.version.micro,
        "prerelease": "",
        "url": f"file://{archive}",
        "sha256": sha256,
        "variant": None,
        "build": None,
    }
    listing = folder / "downloads.json"
    listing.write_text(json.dumps({f"cpython-{python.version}-{KEY}": entry}))
    return archive, listing, sha256


def test_a_managed_interpreter_is_pinned_downloaded_and_made(
    adopted: tuple[LocalPython, Path], mirror: tuple[Path, Path, str], tmp_path: Path
) -> None:
    python, original = adopted
    archive, listing, sha256 = mirror
    uv = uv_for(tmp_path, UV_PYTHON_DOWNLOADS_JSON_URL=str(listing))
    source = choose_source(PythonRequirement("cpython", python.version.feature), pin=None, uv=uv, target=HOST)
    assert source.pin.source == "managed" and source.pin.version == str(python.version) and source.note is None
    assert source.pin.downloads == {HOST: Download(url=f"file://{archive}", sha256=sha256)}
    tree = tmp_path / "tree"
    tree.mkdir()
    build_interpreter(source, tree, uv=uv_for(tmp_path), reporter=NullReporter(), jobs=2)  # from the pin alone
    assert run(tree / "bin" / "python3", "import ssl, sys; print(sys.base_prefix)") == str(tree)
    assert sorted(os.listdir(tree)) == sorted(os.listdir(original))
    assert not [path for path in tree.rglob("*") if path.is_file() and os.fsencode(tree) in path.read_bytes()]


def test_a_range_takes_the_newest_managed_build_that_it_allows(mirror: tuple[Path, Path, str], tmp_path: Path) -> None:
    (entry,) = json.loads(mirror[1].read_text()).values()
    releases = {"3.11.1": "", "3.11.30": "", "3.12.4": "", "3.13.0": "rc1", "3.14.2": ""}
    entries = {}
    for release, prerelease in releases.items():
        major, minor, patch = map(int, release.split("."))
        numbers = {"major": major, "minor": minor, "patch": patch, "prerelease": prerelease}
        entries[f"cpython-{release}{prerelease}-{KEY}"] = {**entry, **numbers}
    listing = tmp_path / "downloads.json"
    listing.write_text(json.dumps(entries))
    uv = uv_for(tmp_path, UV_PYTHON_DOWNLOADS_JSON_URL=str(listing))
    expected = {"": "3.14.2", ">=3.11,<3.14": "3.12.4", "!=3.12.4,<3.14": "3.11.30", "3.11": "3.11.30"}
    for wanted, version in expected.items():
        pin = choose_source(PythonRequirement("cpython", wanted), pin=None, uv=uv, target=HOST).pin
        assert (pin.source, pin.version) == ("managed", version), wanted


def test_a_managed_build_with_another_hash_is_refused(
    adopted: tuple[LocalPython, Path], mirror: tuple[Path, Path, str], tmp_path: Path
) -> None:
    download = Download(url=f"file://{mirror[0]}", sha256="0" * 64)
    version = str(adopted[0].version)
    pin = InterpreterPin(implementation="cpython", version=version, source="managed", downloads={HOST: download})
    uv = uv_for(tmp_path)
    source = choose_source(exactly(adopted[0]), pin=pin, uv=uv, target=HOST)
    (tmp_path / "tree").mkdir()
    with pytest.raises(ToolError, match=f"downloading CPython {version}"):
        build_interpreter(source, tmp_path / "tree", uv=uv, reporter=NullReporter(), jobs=1)


@pytest.mark.root
def test_where_others_have_their_pythons_is_passed_over(tmp_path: Path) -> None:
    """As of a user with root's variables: what lies in a folder that may not be entered is none of his."""
    (tmp_path / "pyenv" / "versions" / "3.11" / "bin").mkdir(parents=True)
    (tmp_path / "pyenv").chmod(0o700)
    child = os.fork()
    if not child:
        os.setuid(65534)
        found = find_local({"PYENV_ROOT": str(tmp_path / "pyenv"), "HOME": "/nonexistent"})
        os._exit(0 if all("pyenv" not in str(one.executable) for one in found) else 1)
    assert os.waitpid(child, 0)[1] == 0
