"""The launch module of an application and its support modules."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from vstore.spec.files.module_roots import ModuleRoots
from vstore.spec.reader import Table, quote


def read_modules(table: Table, roots: ModuleRoots) -> tuple[PurePosixPath | None, tuple[PurePosixPath, ...]]:
    """Read the launch module and the support modules, sorted. One that is missing or not allowed is a mistake."""
    text = table.string("launch_module", required="the path of a .py file or of a package's folder")
    launch = None if text is None else _relative(table, "launch_module", text)
    support = sorted(
        module
        for number, text in enumerate(table.strings("support_modules") or ())
        if (module := _relative(table, f"support_modules[{number}]", text))
    )
    _check_clashes(table, launch, support)
    if launch is not None:
        _check_launch_module(table, roots, launch)
    _check_support_modules(table, roots, support)
    return launch, tuple(support)


def _relative(table: Table, key: str, text: str) -> PurePosixPath | None:
    path = PurePosixPath(posixpath.normpath(text))
    if not text or path.is_absolute() or path.name in ("", ".."):
        table.add_mistake(key, f"found {quote(text)}, expected a file or folder relative to the spec")
        return None
    return path


def _check_clashes(table: Table, launch: PurePosixPath | None, support: Sequence[PurePosixPath]) -> None:
    stems = [module.stem for module in support]
    if launch is not None and launch.stem in stems:
        table.add_mistake("launch_module", f"{quote(launch.stem)} conflicts with support module of the same name")
    twice = sorted(stem for stem, count in Counter(stems).items() if count > 1)
    if twice:
        table.add_mistake("support_modules", f"Conflicting support module names: {', '.join(twice)}")


def _check_launch_module(table: Table, roots: ModuleRoots, launch: PurePosixPath) -> None:
    try:
        real = roots.real_path(launch)
    except ValueError as error:
        table.add_mistake("launch_module", f"launch module {quote(str(launch))} {error}")
        return
    if real.is_file() and launch.suffix != ".py":
        table.add_mistake("launch_module", f"found {quote(str(launch))}, expected a .py file or a package's folder")
    if real.is_dir() and not (real / "__main__.py").is_file():
        table.add_warning("launch_module", f"{launch} has no __main__.py, so it cannot be started")


def _check_support_modules(table: Table, roots: ModuleRoots, support: Sequence[PurePosixPath]) -> None:
    missing: list[str] = []
    for module in support:
        try:
            roots.real_path(module)
        except ValueError as error:
            if str(error) == "does not exist":
                missing.append(quote(str(module)))
            else:
                table.add_mistake("support_modules", f"support module {quote(str(module))} {error}")
    if missing:
        table.add_mistake("support_modules", f"support modules do not exist: {', '.join(missing)}")
