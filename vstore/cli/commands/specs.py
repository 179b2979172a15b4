"""Specs and locks: `init`, `show`, `lock`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vstore.cli.command import command
from vstore.cli.options import selection_options, wheel_options
from vstore.cli.paths import FOLDER
from vstore.cli.settings import Settings
from vstore.errors import LockError, UsageError

if TYPE_CHECKING:
    from vstore.api.locks import Project, Selection, SelectionRequest
    from vstore.api.specs import Spec

SPEC = click.Path(path_type=Path, dir_okay=False)

TEMPLATE = """\
# A stack of layers. `vstore realise spec.toml` locks it, builds it and switches the profile to it.

[[runtimes]]                            # a Python, and packages that everything above shares
name = "python"
python_implementation = "cpython@3.11"  # the lock pins the patch version
requirements = []
platforms = ["linux_x86_64"]

[[frameworks]]                          # shared packages, on a runtime or on other frameworks
name = "web"
runtime = "python"
requirements = ["flask"]

[[applications]]                        # a module of yours and what only it needs
name = "hello"
launch_module = "hello.py"
frameworks = ["web"]
requirements = []
"""

HELLO = """\
import flask

print("hello from flask", flask.__name__)
"""


@command("init")
@click.argument("directory", type=FOLDER, default=".")
def init_command(settings: Settings, directory: Path) -> None:
    """The spec is `spec.toml` in DIRECTORY (default: the current folder), with a module for its application."""
    from vstore.api.specs import Target, write_template

    spec = directory / "spec.toml"
    text = TEMPLATE.replace("linux_x86_64", str(Target.host()))
    write_template(spec, text, {"hello.py": HELLO}, store=settings.location())
    settings.emit({"spec": str(spec)}, lambda: f"wrote {spec}; next: vstore realise {spec}")


def _load(settings: Settings, path: Path, allow_outside: tuple[Path, ...]) -> Project:
    from vstore.api.locks import Project

    project = Project.load(path, environment=os.environ, allow_outside=allow_outside)
    for warning in project.spec.warnings:
        settings.reporter.warn(warning)
    return project


def selected(settings: Settings, spec: Spec, request: SelectionRequest) -> Selection:
    """Select layers, and warn about patterns that match none."""
    from vstore.api.locks import select_layers
    from vstore.api.specs import Target

    selection = select_layers(spec, request, Target.host())
    for pattern in selection.unmatched:
        settings.reporter.warn(f"no layer matches {pattern}")
    return selection


@command("show")
@click.argument("spec", type=SPEC)
@selection_options
def show_command(settings: Settings, spec: Path, allow_outside: tuple[Path, ...], **options: Any) -> None:
    """Each layer with its dependencies in the order of their import, and what `realise` would do."""
    from vstore.api.locks import SelectionRequest, missing_wheels
    from vstore.cli.spec_view import Showing

    project = _load(settings, spec, allow_outside)
    showing = Showing(project, selected(settings, project.spec, SelectionRequest(build=True, **options)))
    for line in missing_wheels(project.spec, showing.locks.values()):
        settings.reporter.warn(line)
    settings.emit(showing.document(), showing.text)


@command("lock")
@click.argument("spec", type=SPEC)
@click.option("--upgrade", is_flag=True, help="Take the newest versions instead of keeping the locked ones.")
@click.option("--upgrade-package", multiple=True, metavar="P", help="Take the newest version of this package.")
@click.option("--reset", multiple=True, metavar="GLOB", help="Forget the locks of these layers first.")
@click.option("--if-needed", is_flag=True, help="Leave valid locks alone (the default without --upgrade).")
@click.option("--check", "only_check", is_flag=True, help="Only say whether the lock is valid; exit 4 if not.")
@click.option(
    "--joint/--no-joint",
    default=None,
    help="Pin below what suits all above; a joint lock stays joint (default: as locked before).",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done with which layer, and stop.")
@click.option("--offline", is_flag=True, help="Use no network.")
@selection_options
@wheel_options
def lock_command(
    settings: Settings,
    spec: Path,
    upgrade: bool,
    upgrade_package: tuple[str, ...],
    reset: tuple[str, ...],
    if_needed: bool,
    only_check: bool,
    joint: bool | None,
    dry_run: bool,
    offline: bool,
    index: bool,
    local_wheels: tuple[Path, ...],
    allow_outside: tuple[Path, ...],
    **options: Any,
) -> None:
    """Pins are kept where they still satisfy the requirements, unless --upgrade or --upgrade-package says otherwise."""
    from vstore.api.locks import LockOptions, Operation, SelectionRequest, lock
    from vstore.cli.spec_view import Showing, lock_rows, lock_text

    if upgrade and if_needed:
        raise UsageError("--upgrade and --if-needed contradict each other")
    project = _load(settings, spec, allow_outside)
    loaded = project.spec
    how = Operation.LOCK if upgrade or upgrade_package else Operation.LOCK_IF_NEEDED
    selection = selected(settings, loaded, SelectionRequest(lock=how, reset=reset, **options))
    if only_check:
        _check(settings, project, selection)
        return
    if dry_run:
        showing = Showing(project, selection)
        settings.emit(showing.document(), showing.text)
        return
    lock_options = LockOptions(
        upgrade=upgrade,
        upgrade_packages=upgrade_package,
        joint=joint,
        local_wheels=local_wheels,
        index=index,
        offline=offline,
    )
    with settings.open_store() as store:
        locked = lock(store, project, selection, lock_options, reporter=settings.reporter)
    if not locked and not selection.unmatched:
        raise LockError(f"{loaded.path.name}: nothing to lock")
    settings.emit({"layers": lock_rows(loaded, locked)}, lambda: lock_text(loaded, locked))


def _check(settings: Settings, project: Project, selection: Selection) -> None:
    from vstore.api.locks import missing_wheels, stale_error, stale_reasons

    reasons = stale_reasons(project).items()
    stale = {name: reason for name, reason in reasons if reason and name in selection.operations}
    if stale:
        raise stale_error(project.spec, stale)
    for line in missing_wheels(project.spec, project.locks):
        settings.reporter.warn(line)
    settings.emit({"valid": True}, lambda: "all locks are valid")
