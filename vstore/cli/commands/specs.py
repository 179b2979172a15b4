"""Specs and locks: `show`, `lock`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command, options
from vstore.cli.options import (
    allow_outside_option,
    offline_option,
    selection_options,
    spec_argument,
    wheel_options,
)
from vstore.cli.settings import Settings
from vstore.errors import LockError

if TYPE_CHECKING:
    from vstore.api.locks import LockedLayer, LockOptions, Project, Selection, SelectionRequest
    from vstore.api.specs import Spec
    from vstore.cli.documents.profiles import ChangeDocument
    from vstore.cli.documents.specs import ExactlyRequiredDocument, LockCheckDocument, LockDocument


def _load(settings: Settings, path: Path, allow_outside: tuple[Path, ...]) -> Project:
    from vstore.api.locks import Project

    project = Project.load(path, environment=os.environ, allow_outside=allow_outside)
    for warning in project.spec.warnings:
        settings.reporter.warn(warning)
    return project


def _select(settings: Settings, spec: Spec, request: SelectionRequest) -> Selection:
    from vstore.api.locks import select_layers
    from vstore.api.specs import Target

    selection = select_layers(spec, request, Target.host())
    for pattern in selection.unmatched:
        settings.reporter.warn(f"no layer matches {pattern}")
    return selection


def _show_request(**selection: object) -> SelectionRequest:
    from vstore.api.locks import SelectionRequest

    return SelectionRequest(build=True, **selection)  # type: ignore[arg-type]


@command("show")
@spec_argument
@options("request", _show_request, selection_options)
@allow_outside_option
def show_command(settings: Settings, spec: Path, request: SelectionRequest, allow_outside: tuple[Path, ...]) -> None:
    """Each layer is shown with its dependencies in the order of their import, and with the actions of `realise`."""
    from vstore.api.locks import missing_wheels
    from vstore.cli.spec_view import SpecView

    project = _load(settings, spec, allow_outside)
    view = SpecView(project, _select(settings, project.spec, request))
    for line in missing_wheels(project.spec, view.locks.values()):
        settings.reporter.warn(line)
    settings.emit(view.document(), view.text)


def _lock_options(**given: object) -> LockOptions:
    from vstore.api.locks import LockOptions

    return LockOptions(**given)  # type: ignore[arg-type]


def _lock_request(**selection: object) -> SelectionRequest:
    from vstore.api.locks import SelectionRequest

    return SelectionRequest(**selection)  # type: ignore[arg-type]


@command("lock")
@spec_argument
@options(
    "lock_options",
    _lock_options,
    click.option("--upgrade/--if-needed", default=False, help="Lock again, with the newest versions (default: no)."),
    click.option(
        "--upgrade-package", "upgrade_packages", multiple=True, metavar="P", help="Lock the newest version of P."
    ),
    click.option(
        "--joint/--no-joint",
        default=None,
        help="Choose versions that satisfy all dependent layers (default: as the lock was made, else no).",
    ),
    wheel_options,
    offline_option,
)
@options(
    "request",
    _lock_request,
    click.option("--reset", multiple=True, metavar="GLOB", help="First forget the locks of these layers."),
    selection_options,
)
@click.option("--check", "mode", flag_value="check", help="Check whether the locks are valid; exit with 4 if not.")
@click.option("--dry-run", "mode", flag_value="dry-run", help="Show the plan, and stop.")
@allow_outside_option
def lock_command(
    settings: Settings,
    spec: Path,
    lock_options: LockOptions,
    request: SelectionRequest,
    mode: str | None,
    allow_outside: tuple[Path, ...],
) -> None:
    """Versions that are locked and still satisfy the requirements are kept, unless --upgrade is given."""
    from vstore.api.locks import Operation, lock
    from vstore.cli.spec_view import SpecView, lock_documents, lock_text
    from vstore.values import replace

    project = _load(settings, spec, allow_outside)
    if lock_options.upgrade or lock_options.upgrade_packages:
        request = replace(request, lock=Operation.LOCK)
    selection = _select(settings, project.spec, request)
    if mode == "check":
        _check(settings, project, selection)
        return
    if mode == "dry-run":
        view = SpecView(project, selection)
        settings.emit(view.document(), view.text)
        return
    before = _locks(project)
    with settings.open_store(create=True) as store:
        locked = lock(store, project, selection, lock_options, reporter=settings.reporter)
    if not locked and not selection.unmatched:
        raise LockError(f"{project.spec.path.name}: no layer to lock")
    document: LockDocument = {
        "layers": lock_documents(project.spec, locked),
        "changes": _changes(before, locked),
        "not_upgraded": _not_upgraded(project.spec, locked, lock_options),
    }
    settings.emit(document, lambda: lock_text(project.spec, locked, document))


def _locks(project: Project) -> dict[str, LockedLayer]:
    """Return the locks that can be read: `--reset` replaces others."""
    found = {}
    for layer in project.spec.layers:
        with suppress(LockError):
            if (locked := project.lock(layer)) is not None:
                found[layer.env_name] = locked
    return found


def _changes(before: Mapping[str, LockedLayer], locked: Mapping[str, LockedLayer]) -> list[ChangeDocument]:
    from vstore.api.locks import compare_locks

    again = [name for name in locked if name in before]
    found = compare_locks([before[name] for name in again], [locked[name] for name in again])
    return [{"layer": one.layer, "package": one.name, "old": one.old, "new": one.new} for one in found]


def _not_upgraded(spec: Spec, locked: Mapping[str, LockedLayer], options: LockOptions) -> list[ExactlyRequiredDocument]:
    from vstore.api.locks import exactly_required

    found = exactly_required(spec, locked.values(), options)
    return [{"layer": one.layer, "package": one.name, "version": one.version, "by": one.by} for one in found]


def _check(settings: Settings, project: Project, selection: Selection) -> None:
    from vstore.api.locks import missing_wheels, stale_error, stale_reasons

    reasons = stale_reasons(project).items()
    stale = {name: reason for name, reason in reasons if reason and name in selection.operations}
    if stale:
        raise stale_error(project.spec, stale)
    for line in missing_wheels(project.spec, project.locks):
        settings.reporter.warn(line)
    document: LockCheckDocument = {"valid": True}
    settings.emit(document, lambda: "all locks are valid")
