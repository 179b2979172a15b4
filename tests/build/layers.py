"""Layers made in code for the tests of building: real wheels, real uv, a real CPython."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vstore.build.layer_metadata import LayerMetadata, collect_facts, write_facts
from vstore.build.layout import Layout
from vstore.build.links import Dependency, link_dependencies
from vstore.build.packages import Overwritten, install
from vstore.build.python_link import tie_to_interpreter
from vstore.build.scripts.activation import write_activation
from vstore.build.scripts.relocatable import LauncherFormat, Trampolines, write_starters
from vstore.lock.model import PinnedWheel
from vstore.objects import Kind
from vstore.target import Target
from vstore.uv import Uv

PYTHON = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
VERSION = ".".join(map(str, sys.version_info[:3]))
LAYOUT = Layout(target=Target.host(), python=VERSION)
SITE = LAYOUT.site


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
        layout = Layout(target=Target.host(), python=python)
        store_path = f"{hashlib.md5(name.encode()).hexdigest().translate(str.maketrans('e', 'x'))}-{name}"
        folder = self.folder / store_path
        folder.mkdir()
        tie_to_interpreter(folder, layout, self.interpreter(layout), "interpreter")
        starters = Trampolines(layout=layout)
        overwritten = self.install(folder, [pin(wheel) for wheel in wheels], layout)
        for path, text in (modules or {}).items():
            (folder / SITE / path).write_text(text)
        facts = self.facts(folder, name, wheels, modules or {}, launch, layout)
        facts = replace(facts, clashes=tuple(one.clash(name) for one in overwritten))
        facts = link_dependencies(folder, facts, dependencies)
        facts = write_starters(folder, facts, dependencies, starters)
        write_activation(folder, facts)
        write_facts(folder, facts)
        return store_path, folder, facts

    def interpreter(self, layout: Layout) -> Path:
        """An object whose interpreter is a link to this one."""
        program = self.folder / "interpreter" / layout.interpreter
        program.parent.mkdir(parents=True, exist_ok=True)
        if not program.is_symlink():
            program.symlink_to(PYTHON)
        return self.folder / "interpreter"

    def install(
        self, folder: Path, wheels: Sequence[PinnedWheel], layout: Layout = LAYOUT, uv: Uv | None = None
    ) -> list[Overwritten]:
        starters: LauncherFormat = Trampolines(layout=layout)
        return install(uv or self.uv, folder, wheels, layout=layout, python=PYTHON, starters=starters)

    def facts(
        self,
        folder: Path,
        name: str,
        wheels: Sequence[Path],
        modules: dict[str, str],
        launch: str | None,
        layout: Layout,
    ) -> LayerMetadata:
        return collect_facts(
            folder,
            name=name,
            kind=Kind.APPLICATION if launch else Kind.FRAMEWORK,
            layout=layout,
            wheels=[pin(wheel) for wheel in wheels],
            own=[PurePosixPath(SITE, path) for path in modules],
            launch_module=launch,
        )


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
