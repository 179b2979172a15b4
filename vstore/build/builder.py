"""Build a layer: wheels by hash, links to the layers below, scripts, bytecode. No code of a package is run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vstore.build.bytecode import compile_tree, reuse_bytecode
from vstore.build.clashes import describe_clashes
from vstore.build.layer_metadata import LayerMetadata, write_metadata, write_venvstacks_metadata
from vstore.build.links import Dependency, link_dependencies
from vstore.build.modules import link_modules
from vstore.build.native.checks import check_layer, set_executable_bits
from vstore.build.native.run_paths import add_run_paths
from vstore.build.ownership import collect_metadata
from vstore.build.packages import install
from vstore.build.python_link import link_interpreter
from vstore.build.recipe import LayerRecipe
from vstore.build.scripts.activation import write_activation_scripts
from vstore.build.scripts.launchers import find_launcher_format, write_scripts
from vstore.errors import BuildError
from vstore.objects import StorePath
from vstore.plural import count
from vstore.reporter import Reporter, Unit
from vstore.uv import Uv
from vstore.values import frozen


class _Log:
    """Reports each step, and keeps it with its time for the build log."""

    def __init__(self, subject: str, reporter: Reporter) -> None:
        self.subject = subject
        self.reporter = reporter
        self.lines: list[str] = []
        self._started = time.monotonic()

    def step(self, activity: str) -> None:
        self.reporter.progress(self.subject, activity)
        self._write(activity)

    def on_bytes(self, done_bytes: int, total_bytes: int) -> None:
        self.reporter.progress(self.subject, "fetching wheels", done_bytes, total_bytes, Unit.BYTES)

    def on_compiled(self, done: int, total: int) -> None:
        self.reporter.progress(self.subject, "compiling", done, total)

    def end(self) -> list[str]:
        self._write("done")
        return self.lines

    def _write(self, text: str) -> None:
        self.lines.append(f"{time.monotonic() - self._started:8.3f} s  {text}")


@frozen
class Builder:
    """Builds layers from folders, without a store.

    `locate` returns the folder of an object that a recipe names. `find_compiled` returns the folders of objects that
    have the files of a wheel with their bytecode, by `LayerRecipe.wheel_key`. The caller keeps these objects alive.
    """

    locate: Callable[[StorePath], Path]
    find_compiled: Callable[[bytes], Sequence[Path]]
    uv: Uv
    jobs: int
    reporter: Reporter

    def build(self, recipe: LayerRecipe, staging: Path, python: Path) -> list[str]:
        """Fill `staging` with the layer, and return the lines of the build log.

        `python` is an interpreter of this machine with the version of the recipe: uv queries it, and it compiles.
        Raises BuildError, ToolError, or Cancelled through the token of uv.
        """
        locate, layout = self.locate, recipe.layout
        log = _Log(recipe.name, self.reporter)
        if os.name == "nt" and not layout.target.is_windows:
            raise BuildError(
                f"layers for {layout.target} cannot be built on Windows, whose files have no executable bit"
            )
        interpreter = locate(recipe.interpreter)
        launchers = find_launcher_format(layout, interpreter)
        link_interpreter(staging, layout, interpreter, str(recipe.interpreter))
        log.step(f"installing {count(len(recipe.wheels), 'wheel')}")
        uv = replace(self.uv, on_bytes=log.on_bytes)
        overwritten = install(uv, staging, recipe.wheels, layout=layout, python=python, launchers=launchers)
        site_packages = staging / layout.site_packages
        names = [name for source in recipe.sources for name in link_modules(locate(source), site_packages)]
        modules = [PurePosixPath(layout.site_packages, name) for name in names]
        metadata = collect_metadata(staging, recipe, modules, [one.clash(recipe.name) for one in overwritten])
        log.step("linking the layers below")
        dependencies = [Dependency.read(str(path), locate(path)) for path in recipe.dependencies]
        metadata = link_dependencies(staging, metadata, dependencies)
        log.lines += add_run_paths(staging, metadata, dependencies)
        metadata = write_scripts(staging, metadata, dependencies, launchers)
        write_activation_scripts(staging, metadata)
        log.lines += [f"clash: {line}" for line in describe_clashes(metadata.clashes)]
        write_metadata(staging, metadata)
        write_venvstacks_metadata(staging, metadata, str(recipe.interpreter))
        log.step("reusing bytecode")
        sources = self._reuse_bytecode(recipe, staging, metadata)
        compile_tree(python, staging, sources, self.jobs, on_progress=log.on_compiled, cancel=self.uv.cancel)
        set_executable_bits(staging, layout)
        log.step("checking")
        check_layer(staging, metadata)
        return log.end()

    def _reuse_bytecode(self, recipe: LayerRecipe, staging: Path, metadata: LayerMetadata) -> list[PurePosixPath]:
        """Link bytecode that other objects have, and return the sources that remain to be compiled."""
        keys = {wheel.name: recipe.wheel_key(wheel) for wheel in recipe.wheels}
        remaining: list[PurePosixPath] = []
        for distribution in metadata.distributions:
            sources = metadata.sources(staging, distribution)
            for compiled in self.find_compiled(keys[distribution.name])[:1]:
                sources = reuse_bytecode(compiled, staging, sources)
            remaining += sources
        return remaining + metadata.own_sources(staging)
