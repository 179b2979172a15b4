"""Outputs for machines without a store: archives with metadata, plain folders, and bundles."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from vstore.api.realising import realise
from vstore.archive import Compression
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
from vstore.realise.model import Request
from vstore.realise.noop import cached_stack
from vstore.realise.prepare import wish_of
from vstore.reporter import Reporter
from vstore.spec import load
from vstore.spec.select import Operation, select
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
    layers = load(request.spec, environment=request.environment).layers
    output.check([layer.env_name for layer in layers if not layer.versioned])
    stack = _realise_members(store, replace(request, generation=False), reporter)
    return output.plan(stack) if request.dry_run else output.write(stack, jobs=request.jobs, reporter=reporter)


def _realise_members(store: Store, request: Request, reporter: Reporter) -> StackMembers:
    now = datetime.now(UTC)
    result = cached_stack(store, replace(request, dry_run=False), reporter=reporter, now=now)
    if result is None:
        result = realise(store, request, reporter=reporter, now=now)
    spec = load(request.spec, environment=request.environment)
    placed = [PlacedObject(layer.name, layer.kind, layer.path) for layer in result.layers]
    only = None
    if request.include:
        operations = select(spec, wish_of(request), request.platform).operations
        only = frozenset(name for name, found in operations.items() if Operation.BUILD in found)
    else:
        placed.append(PlacedObject(f"{spec.profile}-stack", Kind.STACK, result.stack))
    return StackMembers(members=members_of_spec(spec, request.platform, placed), only=only)
