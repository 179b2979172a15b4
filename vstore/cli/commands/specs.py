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
    from vstore.api.locks import Selection, SelectionRequest
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


def _load(settings: Settings, path: Path) -> Spec:
    from vstore.api.specs import load

    loaded = load(path, environment=os.environ)
    for warning in loaded.warnings:
        settings.reporter.warn(warning)
    return loaded


def selected(settings: Settings, spec: Spec, wish: SelectionRequest) -> Selection:
    """What happens with which layer; patterns that match none are warned about where that is allowed."""
    from vstore.api.locks import select
    from vstore.api.specs import Target

    selection = select(spec, wish, Target.host())
    for pattern in selection.unmatched:
        settings.reporter.warn(f"no layer matches {pattern}")
    return selection


@command("show")
@click.argument("spec", type=SPEC)
@selection_options
def show_command(settings: Settings, spec: Path, **options: Any) -> None:
    """Each layer with its dependencies in the order of their import, and what `realise` would do."""
    from vstore.api.locks import SelectionRequest, gaps
    from vstore.cli.spec_view import Showing

    loaded = _load(settings, spec)
    showing = Showing(loaded, selected(settings, loaded, SelectionRequest(build=True, **options)))
    for gap in gaps(loaded, showing.locks.values()):
        settings.reporter.warn(gap)
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
    **options: Any,
) -> None:
    """Pins are kept where they still satisfy the requirements, unless --upgrade or --upgrade-package says otherwise."""
    from vstore.api.locks import LockOptions, Operation, SelectionRequest, lock
    from vstore.cli.spec_view import Showing, lock_rows, lock_text

    if upgrade and if_needed:
        raise UsageError("--upgrade and --if-needed contradict each other")
    loaded = _load(settings, spec)
    how = Operation.LOCK if upgrade or upgrade_package else Operation.LOCK_IF_NEEDED
    selection = selected(settings, loaded, SelectionRequest(lock=how, reset=reset, **options))
    if only_check:
        _check(settings, loaded, selection)
        return
    if dry_run:
        showing = Showing(loaded, selection)
        settings.emit(showing.document(), showing.text)
        return
    wish = LockOptions(
        upgrade=upgrade, upgrade_packages=upgrade_package, joint=joint, local_wheels=local_wheels, index=index
    )
    with settings.open_store() as store:
        locked = lock(store, loaded, selection, wish, offline=offline, reporter=settings.reporter)
    if not locked and not selection.unmatched:
        raise LockError(f"{loaded.path.name}: nothing to lock")
    settings.emit({"layers": lock_rows(loaded, locked)}, lambda: lock_text(loaded, locked))


def _check(settings: Settings, spec: Spec, selection: Selection) -> None:
    from vstore.api.locks import check, gaps, read_locks, stale_error

    stale = {name: why for name, why in check(spec).items() if why and name in selection.operations}
    if stale:
        raise stale_error(spec, stale)
    for gap in gaps(spec, read_locks(spec)):
        settings.reporter.warn(gap)
    settings.emit({"valid": True}, lambda: "all locks are valid")
