"""Outputs for machines without a store: archives with metadata, plain folders, and bundles."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from vstore.api.realising import realise_project
from vstore.archive import Compression
from vstore.lock import Project
from vstore.objects import Kind
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
    resolve_selector,
    unpack_bundle,
)
from vstore.realise.locking import selection_request
from vstore.realise.model import Request
from vstore.realise.noop import find_noop
from vstore.reporter import Reporter
from vstore.spec.select import Operation, select_layers
from vstore.store import Store

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
    "members_of_objects",
    "members_of_stack",
    "outdated_layers",
    "resolve_selector",
    "unpack_bundle",
    "write_spec",
]


def write_spec(store: Store, request: Request, output: Output, *, reporter: Reporter) -> OutputPlan:
    """Realise the layers of a spec without making a generation, and write them to an output.

    In a dry run nothing is realised or written. Return the plan of the output. Raises what `realise` raises, and
    UsageError, before any work where possible, if the place of the output is not free.
    """
    project = Project.load(request.spec, environment=request.environment, allow_outside=request.allow_outside)
    output.check([layer.env_name for layer in project.spec.layers if not layer.versioned])
    stack = _realise_members(store, project, replace(request, generation=False), reporter)
    return output.plan(stack) if request.dry_run else output.write(stack, jobs=request.jobs, reporter=reporter)


def _realise_members(store: Store, project: Project, request: Request, reporter: Reporter) -> StackMembers:
    spec, now, carried_out = project.spec, datetime.now(UTC), replace(request, dry_run=False)
    result = find_noop(store, spec, carried_out, reporter=reporter, now=now) if carried_out.is_whole else None
    if result is None:
        result = realise_project(store, project, request, reporter=reporter, now=now)
    placed = [PlacedObject(layer.name, layer.kind, layer.path) for layer in result.layers]
    only = None
    if request.include:
        operations = select_layers(spec, selection_request(request), request.platform).operations
        only = frozenset(name for name, found in operations.items() if Operation.BUILD in found)
    else:
        placed.append(PlacedObject(f"{spec.profile}-stack", Kind.STACK, result.stack))
    return StackMembers(members=members_of_spec(spec, request.platform, placed), only=only)
