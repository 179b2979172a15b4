"""Handing stacks to others: archives with metadata, plain folders, and bundles for machines without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from vstore.api.realising import realise
from vstore.archive import Compression
from vstore.objects import Kind
from vstore.publish import (
    ExportOptions,
    ExportPlan,
    Links,
    Member,
    PlacedObject,
    Published,
    PublishOptions,
    Unpacked,
    check_export,
    check_publish,
    export,
    find,
    left_out,
    matching,
    members_of_spec,
    members_of_stack,
    pack_bundle,
    plan_export,
    plan_publish,
    publish,
    unpack_bundle,
)
from vstore.realise.model import Request
from vstore.realise.noop import cached_stack
from vstore.realise.prepare import wish_of
from vstore.reporter import Reporter
from vstore.spec import load
from vstore.spec.select import Operation, select
from vstore.store import Store
from vstore.values import frozen

__all__ = [
    "Compression",
    "ExportOptions",
    "ExportPlan",
    "Links",
    "Member",
    "PublishInput",
    "PublishOptions",
    "Published",
    "Unpacked",
    "check_export",
    "check_publish",
    "export",
    "find",
    "left_out",
    "matching",
    "members_of_stack",
    "pack_bundle",
    "plan_export",
    "plan_publish",
    "publish",
    "realise_members",
    "unpack_bundle",
]


@frozen
class PublishInput:
    """What a spec gives: its members, and of them the layers that were asked for (None: all)."""

    members: tuple[Member, ...]
    only: frozenset[str] | None


def realise_members(
    store: Store, request: Request, *, reporter: Reporter, check: Callable[[Sequence[str]], None] = lambda _: None
) -> PublishInput:
    """The spec's layers, made present without a generation; in a dry run what is known of them.

    `check` gets the names that layers will have, as far as the spec says them, before any work: it may raise.
    """
    layers = load(request.spec, environment=request.environment).layers
    check([layer.env_name for layer in layers if not layer.versioned])
    request = replace(request, generation=False)
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
    return PublishInput(members=members_of_spec(spec, request.platform, placed), only=only)
