"""Layers made in code for the tests of building: real wheels, real uv, a real CPython."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from vstore.build.layer_metadata import write_metadata
from vstore.build.layout import LayerLayout
from vstore.build.links import Dependency, link_dependencies
from vstore.build.ownership import collect_metadata
from vstore.build.packages import Overwritten, install
from vstore.build.python_link import link_interpreter
from vstore.build.recipe import LayerRecipe
from vstore.build.scripts.activation import write_activation_scripts
from vstore.build.scripts.launchers import LauncherFormat, write_scripts
from vstore.build.scripts.posix import ShellLaunchers
from vstore.digest import hash_bytes
from vstore.lock.model import PinnedWheel
from vstore.objects import Kind, StorePath
from vstore.python_version import PythonVersion
from vstore.target import Target
from vstore.uv import Uv

PYTHON = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
VERSION = ".".join(map(str, sys.version_info[:3]))
LAYOUT = LayerLayout(target=Target.host(), python=PythonVersion.parse(VERSION))
SITE = LAYOUT.site_packages


def pin(wheel: Path) -> PinnedWheel:
    """A wheel on disk as a lock would pin it."""
    name, version = wheel.name.split("-")[:2]
    return PinnedWheel(
        name=name.replace("_", "-").lower(),
        version=version,
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        location=str(wheel),
        filename=wheel.name,
    )


def recipe(name: str, wheels: Sequence[Path], launch: str | None = None, *, python: str = VERSION) -> LayerRecipe:
    """The recipe of a layer with these wheels for this machine."""
    return LayerRecipe(
        name=name,
        kind=Kind.APPLICATION if launch else Kind.FRAMEWORK,
        target=Target.host(),
        python=python,
        interpreter=StorePath.make(hash_bytes("interpreter", b""), "cpython"),
        wheels=tuple(pin(wheel) for wheel in wheels),
        launch_module=launch,
    )


class Store:
    """A folder of objects side by side; `layer` builds one more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "store"
        self.folder.mkdir(parents=True)
        self.uv = Uv(cache_dir=folder / "uv", environment={"PATH": os.environ["PATH"], "UV_NO_INDEX": "1"})

    def layer(
        self,
        name: str,
        wheels: Sequence[Path] = (),
        dependencies: Sequence[Dependency] = (),
        modules: dict[str, str] | None = None,
        launch: str | None = None,
        python: str = VERSION,
    ) -> Dependency:
        """Build a layer, all but its bytecode."""
        wanted = recipe(name, wheels, launch, python=python)
        layout, launchers = wanted.layout, ShellLaunchers(layout=wanted.layout)
        store_path = f"{hashlib.md5(name.encode()).hexdigest().translate(str.maketrans('e', 'x'))}-{name}"
        folder = self.folder / store_path
        folder.mkdir()
        link_interpreter(folder, layout, self.interpreter(layout), "interpreter")
        overwritten = self.install(folder, wanted.wheels, layout)
        for path, text in (modules or {}).items():
            (folder / SITE / path).write_text(text)
        paths = [PurePosixPath(SITE, path) for path in modules or {}]
        metadata = collect_metadata(folder, wanted, paths, [one.clash(name) for one in overwritten])
        metadata = link_dependencies(folder, metadata, dependencies)
        metadata = write_scripts(folder, metadata, dependencies, launchers)
        write_activation_scripts(folder, metadata)
        write_metadata(folder, metadata)
        return Dependency(store_path, folder, metadata)

    def interpreter(self, layout: LayerLayout) -> Path:
        """An object whose interpreter is a link to this one."""
        program = self.folder / "interpreter" / layout.interpreter
        program.parent.mkdir(parents=True, exist_ok=True)
        if not program.is_symlink():
            program.symlink_to(PYTHON)
        return self.folder / "interpreter"

    def install(
        self, folder: Path, wheels: Sequence[PinnedWheel], layout: LayerLayout = LAYOUT, uv: Uv | None = None
    ) -> list[Overwritten]:
        launchers: LauncherFormat = ShellLaunchers(layout=layout)
        return install(uv or self.uv, folder, wheels, layout=layout, python=PYTHON, launchers=launchers)


def tree(folder: Path) -> dict[str, str]:
    """Path → content of every file and target of every link, but for the stand-in interpreter."""
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = str(path.relative_to(folder))
        if relative.startswith("libexec/python"):
            continue
        if path.is_symlink():
            found[relative] = "-> " + os.readlink(path)
        elif path.is_file():
            found[relative] = path.read_text() + (
                " x" if os.access(path, os.X_OK) and path.stat().st_mode & 0o100 else ""
            )
    return found
