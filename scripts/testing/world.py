"""A world for flow tests: wheels made here, a spec, a root, and the real command in a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from scripts.testing.forked import CommandPool, Ended, starts_alike
from scripts.testing.wheels import make_wheel

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_SECONDS = 300.0  # that a call may take

SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = ["low"]
platforms = ["{target}"]

[[frameworks]]
name = "mid"
runtime = "python"
requirements = ["midlib{midlib}"]

[[frameworks]]
name = "side"
runtime = "python"
requirements = ["ns-side"]

[[applications]]
name = "hello"
launch_module = "hello.py"
frameworks = ["mid", "side"]
requirements = ["ns-app"]
"""

INTERPRETER_SPEC = """\
[[runtimes]]
name = "seed"
python_implementation = "cpython@{version}"
requirements = []
platforms = ["{target}"]
"""

HELLO = """\
import sys
import low, midlib
from ns import side, app
print("low", low.VERSION, "midlib", midlib.VERSION, side.NAME, app.NAME, *sys.argv[1:])
"""


@dataclass
class World:
    """One root and one spec; `run` is the command line in another process, one of `pool` if that is set."""

    folder: Path
    root: Path
    pool: ClassVar[CommandPool | None] = None

    @property
    def wheels(self) -> Path:
        """The folder of the wheels made here."""
        return self.folder / "wheels"

    @property
    def spec(self) -> Path:
        """The spec, in a folder of a project."""
        return self.folder / "project" / "spec.toml"

    def environment(self) -> dict[str, str]:
        """Return this machine's variables, except those of vstore, uv and pip, and those that name the wheels."""
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("VSTORE", "UV_", "PIP_"))}
        return {**keep, "UV_FIND_LINKS": str(self.wheels), "UV_NO_INDEX": "1", "UV_PYTHON_DOWNLOADS": "never"}

    def command(self, *arguments: str) -> list[str]:
        """Return the words of a call of vstore with this root."""
        return [sys.executable, "-m", "vstore", "--root", str(self.root), "--no-progress", *arguments]

    def start(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        """Start a call of vstore, with these changes of the environment; its outputs are pipes."""
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.environment(), **changes},
            cwd=Path(__file__).parents[2],
        )

    def run(self, *arguments: str, code: int = 0, **changes: str) -> tuple[str, str]:
        """Run a call of vstore that ends with this exit code; return its standard output and error."""
        ended = self._ended(*arguments, **changes)
        assert ended.code == code, f"{arguments}: exit {ended.code}\n{ended.out}\n{ended.error}"
        return ended.out, ended.error

    def _ended(self, *arguments: str, **changes: str) -> Ended:
        environment = {**self.environment(), **changes}
        is_plain = type(self).start is World.start and type(self).command is World.command
        if self.pool and is_plain and starts_alike(environment):
            return self.pool.run(self.command(*arguments)[3:], environment, _SECONDS)
        process = self.start(*arguments, **changes)
        out, err = process.communicate(timeout=_SECONDS)
        return Ended(process.returncode, out, err)

    def json(self, *arguments: str, code: int = 0, **changes: str) -> Any:
        """Run a call of vstore; return the document that it prints."""
        return json.loads(self.run("--json", *arguments, code=code, **changes)[0])

    def realise(self, *arguments: str, code: int = 0, **changes: str) -> Any:
        """Realise the spec from the wheels; return the document."""
        extra = ("--local-wheels", str(self.wheels), "--no-index")
        return self.json("realise", str(self.spec), *extra, *arguments, code=code, **changes)

    def write_spec(self, midlib: str = "") -> None:
        """Write the spec, with these versions of `midlib` (PEP 440), and its module."""
        from vstore.target import Target

        self.spec.parent.mkdir(parents=True, exist_ok=True)
        self.spec.write_text(SPEC.format(version=VERSION, target=Target.host(), midlib=midlib))
        (self.spec.parent / "hello.py").write_text(HELLO)

    def copy(self, folder: Path) -> World:
        """A private copy of it all: a store can be copied."""
        subprocess.run(["cp", "-RpP", self.folder, folder], check=True)
        return World(folder, folder / self.root.relative_to(self.folder))

    def paths(self, result: Mapping[str, Any]) -> dict[str, str]:
        """Return the store paths of the layers that a call of `realise` reports, by name."""
        return {layer["name"]: layer["path"] for layer in result["layers"]}


def asking_the_index(environment: Mapping[str, str]) -> dict[str, str]:
    """A world's environment with this machine's settings of the package index in place of the wheels made here."""
    settings = {key: value for key, value in os.environ.items() if key.startswith(("UV_", "PIP_"))}
    kept = {key: value for key, value in environment.items() if key not in ("UV_NO_INDEX", "UV_FIND_LINKS")}
    return {**settings, **kept}


def make_world(folder: Path, root: Path | None = None) -> World:
    """Wheels `low`, `midlib` 1.0 and 2.0, and two halves of a namespace package; a spec that uses them."""
    world = World(folder, root or folder / "root")
    world.wheels.mkdir(parents=True, exist_ok=True)
    make_wheel(world.wheels, "low", "1.0", {"low/__init__.py": "VERSION = '1.0'\n"})
    for version in ("1.0", "2.0"):
        files = {"midlib/__init__.py": f"VERSION = '{version}'\n", "midlib/late.py": f"LATE = '{version}'\n"}
        files["midlib/tool.py"] = "def main():\n    import sys, low\n    print('midtool', low.VERSION, sys.prefix)\n"
        entry_points = {"midtool": "midlib.tool:main"}
        make_wheel(world.wheels, "midlib", version, files, requires=["low"], entry_points=entry_points)
    make_wheel(world.wheels, "ns-side", "1.0", {"ns/side.py": "NAME = 'side'\n"})
    make_wheel(world.wheels, "ns-app", "1.0", {"ns/app.py": "NAME = 'app'\n"})
    world.write_spec("==1.0")
    return world


def make_interpreter(folder: Path) -> Path:
    """Return a root in this empty folder that holds the interpreter of worlds and no other object."""
    from vstore.target import Target

    world = World(folder, folder / "root")
    world.wheels.mkdir()
    world.spec.parent.mkdir()
    world.spec.write_text(INTERPRETER_SPEC.format(version=VERSION, target=Target.host()))
    world.realise("--profile", "seed")
    world.run("forget", "seed", "--all")
    world.run("delete", *(row["path"] for row in world.json("list") if row["kind"] != "interpreter"))
    return world.root
