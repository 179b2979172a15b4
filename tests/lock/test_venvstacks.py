"""A project that venvstacks locked is vstore's too, and the other way round."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lock.peer import LOCKS, Venvstacks, local_version, peer, write_project
from vstore.lock import InterpreterPin, LockOptions, Project, PythonForLocking, deployed_name
from vstore.lock.resolution import resolve
from vstore.lock.staleness import stale_reasons
from vstore.lock.wheels import missing_wheels
from vstore.reporter import NullReporter
from vstore.spec import load
from vstore.spec.lockfiles import interpreter_path
from vstore.spec.select import SelectionRequest, select_layers
from vstore.target import Target
from vstore.uv import Uv

__all__ = ["peer"]

pytestmark = pytest.mark.usefixtures("whole_pythons")

ALL = {"python-3.11", "framework-mid", "framework-side.1", "app-hello", "app-plain"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The spec of a project with venvstacks' own locks."""
    spec = write_project(tmp_path / "project", "3.11.0")
    shutil.copytree(LOCKS, spec.parent / "requirements")
    return spec


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def stale(spec: Path) -> set[str]:
    return {name for name, reason in stale_reasons(Project(load(spec))).items() if reason is not None}


def vstore(spec: Path, *arguments: str, code: int = 0) -> Any:
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("VSTORE", "UV_", "PIP_"))}
    changes = {"UV_FIND_LINKS": str(spec.parent / "wheels"), "UV_NO_INDEX": "1", "UV_PYTHON_DOWNLOADS": "never"}
    root = str(spec.parents[1] / "root")
    done = subprocess.run(
        [sys.executable, "-m", "vstore", "--root", root, "--no-progress", "--json", *arguments, str(spec)],
        capture_output=True,
        text=True,
        env={**keep, **changes},
    )
    assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if code == 0 else done.stderr


def lock(spec: Path, *arguments: str) -> dict[str, str]:
    """Lock with vstore from the project's wheels; gives the deployed names."""
    rows = vstore(spec, "lock", "--no-index", "--local-wheels", str(spec.parent / "wheels"), *arguments)["layers"]
    return {row["name"]: row["install_target"] for row in rows}


def contents(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_its_locks_are_valid(project: Path) -> None:
    spec = load(project)
    assert stale_reasons(Project(spec)) == dict.fromkeys(sorted(ALL, key=[one.env_name for one in spec.layers].index))
    names = {one.env_name: deployed_name(spec.layer(one.env_name), one) for one in Project(spec).locks}
    assert names == {name: name if name in ("framework-side.1", "app-plain") else f"{name}@1" for name in ALL}


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("venvstacks.toml", "3.11.0", "3.11.99", set()),
        ("venvstacks.toml", "3.11.0", "3.12.0", ALL),
        ("venvstacks.toml", '["low"]', '["low>0"]', ALL),
        ("venvstacks.toml", '["ns_side >= 1.0"]', '["ns_side>=1"]', {"framework-side.1", "app-hello"}),
        ("venvstacks.toml", '["ns_side >= 1.0"]', '["ns_side>=1.0"]', set()),
        ("venvstacks.toml", '["mid", "side.1"]', '["side.1", "mid"]', {"app-hello"}),
        ("venvstacks.toml", 'runtime = "python-3.11"\nversioned', 'runtime = "python-3.11"\n#', set()),
        ("venvstacks.toml", '["midlib", "ns-app"]', '["midlib"]', {"app-hello"}),
        ("venvstacks.toml", "\n[[frameworks]]", '\nlinux_target = "glibc@2.34"\n[[frameworks]]', ALL),
        ("venvstacks.toml", 'name = "hello"', 'name = "hello"\nmacosx_target = "14"', set()),
        ("hello/deeper/__init__.py", "", "# edited", {"app-hello"}),
        ("helper.py", "", "# edited", {"app-hello"}),
        ("requirements/framework-mid/pylock.framework-mid.toml", '"2.0"', '"2.1"', {"framework-mid", "app-hello"}),
        ("requirements/framework-mid/pylock.framework-mid.meta.json", "{", "", {"framework-mid", "app-hello"}),
    ],
)
def test_what_makes_its_locks_stale(project: Path, file: str, old: str, new: str, expected: set[str]) -> None:
    edit(project.parent / file, old, new)
    assert stale(project) == expected


def test_missing_inputs_files_do_no_harm(project: Path) -> None:
    for file in (project.parent / "requirements").rglob("*.in"):
        file.unlink()
    assert stale(project) == set()


@pytest.mark.slow
def test_its_project_is_realised_without_locking(project: Path) -> None:
    version = local_version("3.11")
    if version is None:
        pytest.skip("no CPython 3.11 on this machine")
    edit(project, "3.11.0", version)
    before = contents(project.parent)
    first = vstore(project, "realise", "--locked")
    assert contents(project.parent) == before
    application = next(layer["path"] for layer in first["layers"] if layer["name"] == "app-hello")
    launch = project.parents[1] / "root" / "store" / application / "libexec" / "launch"
    assert subprocess.run([launch], capture_output=True, text=True, check=True).stdout == "helper\nhello 1.0 2.0\n"
    second = vstore(project, "realise", "--include", "app-hello")
    assert application in {layer["path"] for layer in second["layers"]}
    added = contents(project.parent)
    record = Path("requirements/python-3.11/interpreter-python-3_11.toml")
    assert f'version = "{version}"' in added.pop(record).decode()
    assert added == before
    assert vstore(project, "realise")["stack"] == first["stack"]


@pytest.mark.slow
def test_locking_leaves_its_valid_locks_and_numbers_what_changed(project: Path) -> None:
    version = local_version("3.11")
    if version is None:
        pytest.skip("no CPython 3.11 on this machine")
    edit(project, "3.11.0", version)
    before = contents(project.parent / "requirements")
    edit(project.parent / "helper.py", "", "# edited\n")
    assert lock(project)["app-hello"] == "app-hello@2"
    after = contents(project.parent / "requirements")
    changed = {path.name for path in after if before.get(path) != after[path]}
    assert changed == {"pylock.app-hello.meta.json", "interpreter-python-3_11.toml"}
    assert lock(project)["app-hello"] == "app-hello@2"


@pytest.mark.network
def test_venvstacks_accepts_what_vstore_locked(tmp_path: Path, peer: Venvstacks) -> None:
    version = local_version("3.11")
    if version is None:
        pytest.skip("no CPython 3.11 on this machine")
    spec = write_project(tmp_path / "project", version)
    names = lock(spec)
    shown = peer.show(spec)
    layers = [layer for array in ("runtimes", "frameworks", "applications") for layer in shown[array]]
    assert {layer["name"]: layer["install_target"] for layer in layers} == names
    assert all(layer["has_valid_lock"] for layer in layers)
    peer.place_interpreter(spec, version)
    before = contents(spec.parent / "requirements")
    peer.on_wheels("lock", spec, "--if-needed")
    after = contents(spec.parent / "requirements")
    assert {path for path in after if after[path] != before[path]} <= {
        path for path in after if path.name.startswith(("packages-", "requirements-"))
    }
    peer.on_wheels("build", spec)
    built = subprocess.run(
        [spec.parent / "_build" / "app-hello" / "bin" / "python", "-m", "hello"], capture_output=True, text=True
    )
    assert built.stdout == "helper\nhello 1.0 2.0\n"
    edit(spec.parent / "hello" / "__main__.py", "import", "# edited\nimport")
    assert lock(spec)["app-hello"] == "app-hello@2"
    [hello, _] = peer.show(spec)["applications"]
    assert (hello["install_target"], hello["has_valid_lock"]) == ("app-hello@2", True)


@pytest.mark.network
def test_vstore_accepts_what_venvstacks_locks(tmp_path: Path, peer: Venvstacks) -> None:
    version = local_version("3.11")
    if version is None:
        pytest.skip("no CPython 3.11 on this machine")
    spec = write_project(tmp_path / "project", version)
    peer.place_interpreter(spec, version)
    lock(spec)  # vstore first: its own mark goes when venvstacks locks again
    edit(spec, '["low"]', '["low>=1"]')
    peer.on_wheels("lock", spec)
    assert stale(spec) == set()
    shown = vstore(spec, "show")
    theirs = peer.show(spec)
    for array in ("runtimes", "frameworks", "applications"):
        ours = [{**layer, "selected_operations": None} for layer in shown[array]]
        assert ours == [{**layer, "selected_operations": None} for layer in theirs[array]]


def test_a_missing_wheel_in_its_lock_is_told(project: Path) -> None:
    """venvstacks never looks again whether a valid lock has a wheel for each platform."""
    place = project.parent / "requirements" / "framework-mid"
    edit(place / "pylock.framework-mid.toml", "midlib-2.0-py3-none-any.whl", "midlib-2.0-py3-none-win_amd64.whl")
    locked = Project(load(project)).lock(load(project).layer("framework-mid"))
    assert locked is not None
    record = place / "pylock.framework-mid.meta.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "requirements_hash": locked.content_hash}))
    assert stale(project) == set()
    spec = load(project)
    assert list(missing_wheels(spec, Project(spec).locks)) == [
        "layer framework-mid: midlib 2.0 has no wheel for linux_x86_64",
        "layer framework-mid: midlib 2.0 has no wheel for macosx_arm64",
    ]


def test_locking_anew_makes_its_lock_ours(project: Path) -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    if version.startswith("3.11."):
        edit(project, "3.11.0", version)
    spec = load(project)
    pin = InterpreterPin(implementation="cpython", version=version, source="adopted")
    pythons = {"python-3.11": PythonForLocking(path=Path(sys.executable), pin=pin)}
    beside = interpreter_path(spec, spec.layer("python-3.11"))
    options = LockOptions(index=False, local_wheels=(project.parent / "wheels",))
    for reset, ours in (((), False), (("python-3.11",), True)):
        selection = select_layers(spec, SelectionRequest(include=("python-3.11",), reset=reset), Target.LINUX_X86_64)
        if ours and f"{sys.version_info.major}.{sys.version_info.minor}" != "3.11":
            pytest.skip("only a Python 3.11 can lock for 3.11")
        locked = resolve.lock(
            Project(spec),
            selection,
            options,
            uv=Uv(cache_dir=project.parent / "cache"),
            pythons=pythons,
            reporter=NullReporter(),
        )
        assert (locked[0].inputs is not None, locked[0].interpreter, beside.exists()) == (ours, pin, not ours)
        assert deployed_name(spec.layer("python-3.11"), locked[0]) == ("python-3.11@2" if ours else "python-3.11@1")
