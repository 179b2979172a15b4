"""Building a layer: wheels by hash, links to the layers below, scripts, bytecode. No package's code is run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from vstore.build.bytecode import compile_tree, reuse
from vstore.build.facts import LayerFacts, collect_facts, read_facts, write_facts
from vstore.build.libraries import join_libraries
from vstore.build.links import link_lower
from vstore.build.packages import install
from vstore.build.recipe import Recipe
from vstore.build.scripts import write_trampolines
from vstore.errors import BuildError
from vstore.objects import StorePath
from vstore.report import Report
from vstore.spec import Layer, Spec, source_digest, source_files
from vstore.uv import Uv

Donors = Callable[[bytes], Sequence[Path]]


class _Log:
    """Says each stage to the report and keeps it, with its time, for the build log."""

    def __init__(self, subject: str, report: Report) -> None:
        self.subject = subject
        self.report = report
        self.lines: list[str] = []
        self._started = time.monotonic()

    def stage(self, activity: str) -> None:
        self.report.stage(self.subject, activity)
        self._write(activity)

    def end(self) -> list[str]:
        self._write("done")
        return self.lines

    def _write(self, text: str) -> None:
        self.lines.append(f"{time.monotonic() - self._started:8.3f} s  {text}")


def build_layer(
    recipe: Recipe,
    staging: Path,
    *,
    locate: Callable[[StorePath], Path],
    spec: Spec,
    layer: Layer,
    donors: Donors,
    uv: Uv,
    jobs: int,
    report: Report,
) -> list[str]:
    """Fill `staging` with the layer; returns the lines of its build log.

    `locate` gives the folder of an object below, `donors` the folders of objects that hold a part
    (see `Recipe.part`); the caller keeps both alive meanwhile. Raises BuildError or ToolError.
    """
    log = _Log(recipe.name, report)
    interpreter = locate(recipe.interpreter)
    python = f"python{recipe.python.rpartition('.')[0]}"
    binary = interpreter / "bin" / python
    site = staging / "lib" / python / "site-packages"
    site.mkdir(parents=True)
    (staging / "libexec").mkdir()
    (staging / "libexec" / python).symlink_to(f"../../{recipe.interpreter}/bin/{python}")
    (staging / "pyvenv.cfg").write_text(f"include-system-site-packages = false\nversion = {recipe.python}\n")
    log.stage(f"installing {len(recipe.wheels)} wheels")
    install(uv, staging, recipe.wheels, binary, recipe.python, report)
    own = [_copy_module(spec, module, site) for module in layer.modules]
    if [source.digest for source in recipe.sources] != [source_digest(spec, module) for module in layer.modules]:
        raise BuildError(f"a module of layer {recipe.name} was edited while it was built", hint="run it again")
    facts = collect_facts(
        staging,
        name=recipe.name,
        kind=recipe.kind,
        python=recipe.python,
        wheels=recipe.wheels,
        own=[PurePosixPath("lib", python, "site-packages", name) for name in own],
        launch_module=recipe.launch_module,
        dynlib_exclude=recipe.dynlib_exclude,
    )
    log.stage("linking lower layers")
    lowers = [(str(path), locate(path), read_facts(locate(path))) for path in recipe.lowers]
    facts = link_lower(staging, facts, lowers)
    log.lines += join_libraries(staging, facts, lowers)
    write_trampolines(staging, facts, lowers)
    write_facts(staging, facts)
    log.stage("reusing bytecode")
    _bytecode(recipe, staging, facts, binary, donors, jobs, report)
    return log.end()


def _copy_module(spec: Spec, module: PurePosixPath, site: Path) -> str:
    """Copy a launch or support module, content and executable bit only; returns its name in site-packages."""
    for relative, source in source_files(spec, module):
        target = site / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():  # it may be a hard link to uv's cache, which must never be written through
            raise BuildError(f"{target.name} is a module of this layer and a file of one of its distributions")
        shutil.copyfile(source, target)
        target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
    return module.name


def _bytecode(
    recipe: Recipe, staging: Path, facts: LayerFacts, binary: Path, donors: Donors, jobs: int, report: Report
) -> None:
    """Link what another object has compiled already; compile the rest, all sources in one go."""
    parts = {wheel.name: recipe.part(wheel) for wheel in recipe.wheels}
    remaining: list[PurePosixPath] = []
    for distribution in facts.distributions:
        sources = facts.sources(staging, distribution)
        for donor in donors(parts[distribution.name])[:1]:
            sources = reuse(donor, staging, sources)
        remaining += sources
    remaining += facts.own_sources(staging)
    compile_tree(binary, staging, remaining, jobs, report, subject=recipe.name)
