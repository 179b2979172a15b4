"""Outputs for machines without a store: archives with metadata, plain folders, and bundles.

Example::

    from pathlib import Path
    from vstore.api import publishing, stores

    with stores.open_store() as store:
        stack = stores.resolve_what(store, "project", keep=True).path
        options = publishing.bundle_options(store)
        output = publishing.BundleOutput(store=store, file=Path("project.bundle"), options=options)
        for item in publishing.write_bundle(store, [stack], output).items:
            print(item.label, item.size_bytes)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vstore.archive import Compression
from vstore.objects import Kind, StorePath
from vstore.profile import resolve_what
from vstore.publish import (
    ArchiveOptions,
    ArchiveOutput,
    BundleOptions,
    BundleOutput,
    CombinedManifest,
    FolderOptions,
    FolderOutput,
    LinkMode,
    Member,
    MemberRecord,
    Output,
    OutputItem,
    OutputPlan,
    PlacedObject,
    StackMembers,
    Unpacked,
    members_of_objects,
    members_of_spec,
    members_of_stack,
    outdated_layers,
    unpack_bundle,
)
from vstore.realise.model import Request
from vstore.realise.noop import find_noop
from vstore.remote import SecretKey, signing_keys
from vstore.reporter import NullReporter, Reporter
from vstore.store import Store
from vstore.values import replace

if TYPE_CHECKING:
    from vstore.lock import Project

__all__ = [
    "ArchiveOptions",
    "ArchiveOutput",
    "BundleOptions",
    "BundleOutput",
    "CombinedManifest",
    "Compression",
    "FolderOptions",
    "FolderOutput",
    "LinkMode",
    "Member",
    "MemberRecord",
    "Output",
    "OutputItem",
    "OutputPlan",
    "StackMembers",
    "Unpacked",
    "bundle_options",
    "members_of_objects",
    "members_of_stack",
    "outdated_layers",
    "unpack_bundle",
    "write_bundle",
    "write_spec",
    "write_stack",
]


def write_spec(store: Store, request: Request, output: Output, *, reporter: Reporter | None = None) -> OutputPlan:
    """Realise the layers of a spec without making a generation, and write them to an output.

    In a dry run nothing is realised or written. Return the plan of the output. Raises the errors of `realise`, and
    UsageError, before any work where possible, if the place of the output is not free.
    """
    from vstore.lock import Project

    reporter = reporter or NullReporter()
    project = Project.load(request.spec, environment=request.environment, allow_outside=request.allow_outside)
    output.check([layer.env_name for layer in project.spec.layers if not layer.versioned])
    stack = realise_members(store, project, replace(request, generation=False), reporter)
    return output.plan(stack) if request.dry_run else output.write(stack, jobs=request.jobs, reporter=reporter)


def write_stack(
    store: Store, what: str, request: Request, output: Output, *, reporter: Reporter | None = None
) -> OutputPlan:
    """Write a stack of the store to an output, and return the plan of the output. In a dry run nothing is written.

    Of the request, only the choice of layers, the number of jobs and the dry run count. Raises the errors of
    `resolve_what`, and StoreError if `what` is not a stack.
    """
    stack = members_of_stack(store, resolve_what(store, what, keep=True).path)
    stack = stack.matching(request.include, allow_missing=request.allow_missing)
    if request.dry_run:
        return output.plan(stack)
    return output.write(stack, jobs=request.jobs, reporter=reporter)


def bundle_options(
    store: Store,
    *,
    level: int | None = None,
    closure: bool = True,
    without: Iterable[str] = (),
    key_files: Iterable[Path] = (),
) -> BundleOptions:
    """Return the options of a bundle.

    `without` names objects to leave out, as `resolve_what` reads them. Without key files the keys of the store sign.
    Raises the errors of `resolve_what`.
    """
    return BundleOptions(
        level=level,
        keys=tuple(map(SecretKey.read, key_files)) or signing_keys(store.layout.keys),
        closure=closure,
        without=tuple(resolve_what(store, text, keep=True).path for text in without),
    )


def write_bundle(
    store: Store,
    tops: Sequence[StorePath],
    output: BundleOutput,
    *,
    jobs: int | None = None,
    dry_run: bool = False,
    reporter: Reporter | None = None,
) -> OutputPlan:
    """Write objects and everything they refer to into a bundle. In a dry run nothing is written."""
    stack = members_of_objects(store, tops)
    if dry_run:
        return output.plan(stack)
    return output.write(stack, jobs=jobs or os.cpu_count() or 1, reporter=reporter)


def realise_members(store: Store, project: Project, request: Request, reporter: Reporter) -> StackMembers:
    """Realise the layers that a request selects, and return the members. Raises the errors of `realise`."""
    spec, carried_out = project.spec, replace(request, dry_run=False)
    result = find_noop(store, spec, carried_out, reporter=reporter) if carried_out.is_whole else None
    if result is None:
        from vstore.api.realising import realise_project

        result = realise_project(store, project, request, reporter=reporter)
    placed = [PlacedObject(layer.name, layer.kind, layer.path) for layer in result.layers]
    only = None
    if request.include:
        from vstore.realise.locking import selection_request
        from vstore.spec.select import Operation, select_layers

        operations = select_layers(spec, selection_request(request), request.platform).operations
        only = frozenset(name for name, found in operations.items() if Operation.BUILD in found)
    else:
        placed.append(PlacedObject(f"{spec.profile}-stack", Kind.STACK, result.stack))
    return StackMembers(members=members_of_spec(spec, request.platform, placed), only=only)
