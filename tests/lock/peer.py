"""The real venvstacks, where it can be had, and a project that both tools lock, from wheels made here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import uv

from scripts.testing.wheels import make_wheel
from vstore.build.interpreter.adopt import adopt
from vstore.build.interpreter.local import find_local
from vstore.python_version import PythonRequirement
from vstore.reporter import NullReporter

SPEC = """\
[[runtimes]]
name = "python-3.11"
python_implementation = "cpython@{version}"
versioned = true
requirements = ["low"]
platforms = {platforms}

[[frameworks]]
name = "mid"
runtime = "python-3.11"
versioned = true
requirements = ["midlib", "only-windows; sys_platform == 'win32'"]

[[frameworks]]
name = "side.1"
runtime = "python-3.11"
requirements = ["ns_side >= 1.0"]

[[applications]]
name = "hello"
launch_module = "hello"
support_modules = ["helper.py"]
frameworks = ["mid", "side.1"]
requirements = ["midlib", "ns-app"]
versioned = true
platforms = ["linux_x86_64", "win_amd64"]

[[applications]]
name = "plain"
launch_module = "helper.py"
runtime = "python-3.11"
requirements = []
"""
PLATFORMS = ["linux_x86_64", "macosx_arm64", "win_amd64"]
LOCKS = Path(__file__).parent / "locked_by_venvstacks"  # made by `python -m tests.lock.peer` with venvstacks 0.8


def write_project(folder: Path, version: str) -> Path:
    """The spec with its modules, and the wheels beside it; equal wherever and whenever it is made."""
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    make_wheel(wheels, "low", "1.0", {"low/__init__.py": "VERSION = '1.0'\n"})
    make_wheel(wheels, "midlib", "2.0", {"midlib/__init__.py": "VERSION = '2.0'\n"}, requires=["low"])
    make_wheel(wheels, "only-windows", "1.0", {"only_windows.py": ""}, requires=["low"])
    make_wheel(wheels, "ns-side", "1.0+local", {"ns/side.py": "NAME = 'side'\n"})
    make_wheel(wheels, "ns-app", "1.0", {"ns/app.py": "NAME = 'app'\n"})
    package = folder / "hello"
    (package / "deeper").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deeper" / "__init__.py").write_text("")
    (package / "__main__.py").write_text("import helper, low, midlib\nprint('hello', low.VERSION, midlib.VERSION)\n")
    (folder / "helper.py").write_text("print('helper')\n")
    spec = folder / "venvstacks.toml"
    spec.write_text(SPEC.format(version=version, platforms=json.dumps(PLATFORMS)))
    return spec


def local_version(series: str) -> str | None:
    """A CPython of this series on this machine that stands alone, if there is one."""
    found = find_local(os.environ, PythonRequirement("cpython", series))
    return str(found[0].version) if found else None


@dataclass(frozen=True)
class Venvstacks:
    """An installed venvstacks. It takes the interpreter that lies ready in its build folder, and so downloads none."""

    executable: Path

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        command = [self.executable, *arguments]
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("UV_", "PIP_"))}
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, env={**keep, "PYTHONWARNINGS": "ignore"}
        )
        assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def on_wheels(self, command: str, spec: Path, *arguments: str) -> str:
        """`lock` or `build` with the project's wheels instead of an index."""
        return self.run(command, "--no-index", "--local-wheels", "wheels", *arguments, spec)

    def show(self, spec: Path) -> Any:
        return json.loads(self.run("show", "--json", spec))

    def place_interpreter(self, spec: Path, version: str) -> None:
        place = spec.parent / "_build" / f"cpython@{version}"
        place.mkdir(parents=True)
        adopt(find_local(os.environ, PythonRequirement("cpython", version))[0], place, jobs=2, reporter=NullReporter())


@cache
def venvstacks(folder: Path) -> Venvstacks | None:
    """The one that `VENVSTACKS` names, else one from the package index; None where neither reads these locks."""
    named = os.environ.get("VENVSTACKS")
    if named:
        return Venvstacks(Path(named))
    place = folder / "venvstacks"
    tool = uv.find_uv_bin()
    for command in (
        ["venv", "--quiet", "--python", sys.executable, place],
        ["pip", "install", "--quiet", "--python", place / "bin" / "python", "venvstacks>=0.8"],
    ):
        if subprocess.run([tool, *map(str, command)], capture_output=True).returncode != 0:
            return None
    return Venvstacks(place / "bin" / "venvstacks")


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Venvstacks:
    found = venvstacks(tmp_path_factory.getbasetemp())
    if found is None:
        pytest.skip("venvstacks 0.8 cannot be had here: set VENVSTACKS to its executable")
    return found


def main() -> None:
    """Make the committed locks anew: ``VENVSTACKS=… python -m tests.lock.peer SCRATCH``."""
    scratch = Path(sys.argv[1])
    version = local_version("3.11")
    tool = venvstacks(scratch)
    assert version is not None
    assert tool is not None
    spec = write_project(scratch / "project", version)
    tool.place_interpreter(spec, version)
    tool.on_wheels("lock", spec)
    shutil.rmtree(LOCKS, ignore_errors=True)
    shutil.copytree(spec.parent / "requirements", LOCKS)


if __name__ == "__main__":
    main()
