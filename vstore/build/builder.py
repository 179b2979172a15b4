"""Building a layer: wheels by hash, links to the layers below, scripts, bytecode. No package's code is run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vstore.build.bytecode import compile_tree, reuse
from vstore.build.clashes import describe_clashes
from vstore.build.layer_metadata import LayerMetadata, collect_facts, read_facts, write_facts
from vstore.build.layout import Layout
from vstore.build.links import link_dependencies
from vstore.build.modules import place_modules
from vstore.build.native.foreign import check_layer, set_executable
from vstore.build.native.libraries import join_libraries
from vstore.build.packages import install
from vstore.build.python_link import tie_to_interpreter
from vstore.build.recipe import LayerRecipe
from vstore.build.scripts.activation import write_activation
from vstore.build.scripts.relocatable import find_starters, write_starters
from vstore.build.venvstacks import write_venvstacks_metadata
from vstore.errors import BuildError
from vstore.objects import StorePath
from vstore.reporter import Reporter, Unit
from vstore.target import Target
from vstore.uv import Uv
from vstore.values import frozen


class _Log:
    """Says each stage to the report and keeps it, with its time, for the build log."""

    def __init__(self, subject: str, reporter: Reporter) -> None:
        self.subject = subject
        self.reporter = reporter
        self.lines: list[str] = []
        self._started = time.monotonic()

    def progress(self, activity: str) -> None:
        self.reporter.progress(self.subject, activity)
        self._write(activity)

    def fetching(self, done_bytes: int, total_bytes: int) -> None:
        self.reporter.progress(self.subject, "fetching wheels", done_bytes, total_bytes, Unit.BYTES)

    def end(self) -> list[str]:
        self._write("done")
        return self.lines

    def _write(self, text: str) -> None:
        self.lines.append(f"{time.monotonic() - self._started:8.3f} s  {text}")


@frozen
class Builder:
    """Builds layers out of folders. It knows no store.

    `locate` gives the folder of an object that a recipe names, `donors` the folders of objects that hold a part
    (see `LayerRecipe.part`); the caller keeps both alive meanwhile.
    """

    locate: Callable[[StorePath], Path]
    donors: Callable[[bytes], Sequence[Path]]
    uv: Uv
    jobs: int
    reporter: Reporter

    def build(self, recipe: LayerRecipe, staging: Path, python: Path) -> list[str]:
        """Fill `staging` with the layer; returns the lines of its build log.

        `python` is an interpreter of this machine of the recipe's very version: uv asks it, and it compiles. Raises
        BuildError or ToolError, Cancelled when the stop of uv is set.
        """
        locate = self.locate
        log = _Log(recipe.name, self.reporter)
        layout = Layout(target=Target(recipe.target), python=recipe.python)
        if os.name == "nt" and not layout.windows:
            raise BuildError(
                f"layers for {layout.target} cannot be made on Windows, whose files have no executable bit"
            )
        interpreter = locate(recipe.interpreter)
        starters = find_starters(layout, interpreter)
        tie_to_interpreter(staging, layout, interpreter, str(recipe.interpreter))
        log.progress(f"installing {len(recipe.wheels)} wheels")
        uv = replace(self.uv, on_bytes=log.fetching)
        overwritten = install(uv, staging, recipe.wheels, layout=layout, python=python, starters=starters)
        modules = [name for source in recipe.sources for name in place_modules(locate(source), staging / layout.site)]
        facts = collect_facts(
            staging,
            name=recipe.name,
            kind=recipe.kind,
            layout=layout,
            wheels=recipe.wheels,
            own=[PurePosixPath(layout.site, name) for name in modules],
            launch_module=recipe.launch_module,
            dynlib_exclude=recipe.dynlib_exclude,
            clashes=[one.clash(recipe.name) for one in overwritten],
        )
        log.progress("linking lower layers")
        dependencies = [(str(path), locate(path), read_facts(locate(path))) for path in recipe.dependencies]
        facts = link_dependencies(staging, facts, dependencies)
        log.lines += join_libraries(staging, facts, dependencies)
        facts = write_starters(staging, facts, dependencies, starters)
        write_activation(staging, facts)
        log.lines += [f"clash: {line}" for line in describe_clashes(facts.clashes)]
        write_facts(staging, facts)
        write_venvstacks_metadata(staging, facts, str(recipe.interpreter))
        log.progress("reusing bytecode")
        self._add_bytecode(recipe, staging, facts, python)
        set_executable(staging, layout)
        log.progress("checking")
        check_layer(staging, facts)
        return log.end()

    def _add_bytecode(self, recipe: LayerRecipe, staging: Path, facts: LayerMetadata, python: Path) -> None:
        """Link what another object has compiled already; compile the rest, all sources in one go."""
        parts = {wheel.name: recipe.part(wheel) for wheel in recipe.wheels}
        remaining: list[PurePosixPath] = []
        for distribution in facts.distributions:
            sources = facts.sources(staging, distribution)
            for donor in self.donors(parts[distribution.name])[:1]:
                sources = reuse(donor, staging, sources)
            remaining += sources
        remaining += facts.own_sources(staging)
        compile_tree(python, staging, remaining, self.jobs, self.reporter, subject=recipe.name, cancel=self.uv.cancel)
