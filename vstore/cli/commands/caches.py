"""`vstore cache`: list, collect, verify and pin the objects of a cache."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command, command_group, options
from vstore.cli.listing import Order, object_filter, sort_options
from vstore.cli.options import dry_run_option
from vstore.cli.quantities import AGE
from vstore.cli.settings import Settings
from vstore.cli.text import table, when
from vstore.errors import CacheError
from vstore.plural import count
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.caches import CachePlan, CachePolicy, Inventory, Item
    from vstore.api.listings import ObjectFilter
    from vstore.api.stores import StorePath
    from vstore.cli.documents.caches import (
        CachedChannel,
        CachedObject,
        CachedSbom,
        CacheGcDocument,
        CacheListDocument,
        CacheVerifyDocument,
        PinDocument,
    )


@command_group("cache")
def cache_command() -> None:
    """CACHE is a URL (file, https, s3, gs, az, oci), a folder, or a name from config.toml."""


@command("ls", group=cache_command)
@click.argument("cache")
@object_filter
@sort_options(
    {"kind": "kind", "archive": "archive_bytes", "size": "size_bytes", "touched": "touched_at", "path": "path"}
)
def list_command(settings: Settings, cache: str, wanted: ObjectFilter, order: Order) -> None:
    """List the objects, channels, pins and SBOMs of CACHE.

    NAME is the name of an object with shell-style wildcards, or the start of a store path. A push counts as a use. The
    channels and pins are always shown.
    """
    from vstore.api.caches import list_cached_objects, open_cache, read_inventory

    with settings.open_store(create=True) as store:
        opened = open_cache(store, cache, reporter=settings.reporter)
        inventory = read_inventory(opened)
    shown = list_cached_objects(inventory, wanted)
    document: CacheListDocument = {
        "cache": opened.url,
        "objects": order.of(map(_cached_object, shown)),
        "channels": _channels(inventory),
        "sboms": _sboms(inventory, {item.path for item in shown}),
        "pins": [str(path) for path in inventory.pins],
    }
    settings.emit(document, lambda: _listed(document, sum(item.size_bytes for item in shown)))


def _cached_object(item: Item) -> CachedObject:
    return {
        "path": str(item.path),
        "kind": str(item.record.kind),
        "archive_bytes": item.record.archive.size_bytes,
        "size_bytes": item.record.size_bytes,
        "recipes": item.recipes,
        "touched_at": when(item.touched_at),
        "signed_by": [signature.key for signature in item.record.signatures],
    }


def _channels(inventory: Inventory) -> list[CachedChannel]:
    numbered = {(one.name, one.number): one for one in inventory.channels.values()}
    return [
        {
            "channel": one.name,
            "number": one.number,
            "path": str(one.path),
            "created_at": when(one.created_at),
            "expires_at": when(one.expires_at),
            "signed_by": [signature.key for signature in one.signatures],
        }
        for _, one in sorted(numbered.items())
    ]


def _sboms(inventory: Inventory, shown: set[StorePath]) -> list[CachedSbom]:
    from vstore.cli.documents.caches import sbom_document

    found = sorted(inventory.sboms.values(), key=lambda one: (one.path, one.format, one.sha256))
    return [
        {**sbom_document(one), "signed_by": [signature.key for signature in one.signatures]}
        for one in found
        if one.path in shown
    ]


def _listed(document: CacheListDocument, total_bytes: int) -> str:
    rows = [{**one, "archive": size(one["archive_bytes"])} for one in document["objects"]]
    columns = {"kind": "kind", "archive": "archive", "recipes": "recipes", "touched_at": "touched", "path": "path"}
    parts = [table(rows, columns)]
    if document["channels"]:
        heads = {"channel": "channel", "number": "number", "expires_at": "expires", "path": "path"}
        parts.append(table(document["channels"], heads))
    if document["sboms"]:
        sboms = [{**one, "size": size(one["size_bytes"])} for one in document["sboms"]]
        parts.append(table(sboms, {"format": "sbom", "size": "size", "path": "path"}))
    return "\n\n".join([*parts, f"{count(len(rows), 'object')}, {size(total_bytes)}"])


def _policy(older_than: timedelta | None, keep: int | None, grace: timedelta | None) -> CachePolicy:
    from vstore.api.caches import CachePolicy

    given = {"age": older_than, "keep": keep, "grace": grace}
    return CachePolicy(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


@command("gc", group=cache_command)
@click.argument("cache")
@dry_run_option
@options(
    "policy",
    _policy,
    click.option("--older-than", type=AGE, help="Delete objects that were not pushed for AGE (default: 14d)."),
    click.option("--keep", type=click.IntRange(1), help="Numbers of each channel to keep (default: 3)."),
    click.option("--grace", type=AGE, help="Keep objects younger than AGE (default: 1d)."),
)
def gc_command(settings: Settings, cache: str, dry_run: bool, policy: CachePolicy) -> None:
    """Delete the objects of CACHE that no channel and no pin reaches."""
    from vstore.api.caches import collect_cache, open_cache, plan_cache_gc

    with settings.open_store(create=True) as store:
        opened = open_cache(store, cache, reporter=settings.reporter)
        plan = plan_cache_gc(store, opened, policy)
        deleted = () if dry_run else collect_cache(store, opened, plan, policy, reporter=settings.reporter)
    sizes = {item.path: item.size_bytes for item in plan.dead}
    document: CacheGcDocument = {
        "deletable": [str(item.path) for item in plan.dead],
        "deleted": [str(path) for path in deleted],
        "freed_bytes": sum(sizes[path] for path in (sizes if dry_run else deleted)),
        "orphans": list(plan.orphans),
        "too_young": [{"path": str(item.path), "deletable_at": when(at)} for item, at in plan.too_young],
        "kept": [{"path": str(item.path), "by": by} for item, by in plan.kept],
    }
    settings.emit(document, lambda: _collected(plan, document["freed_bytes"], dry_run))
    if deleted and opened.reclaim_hint:
        settings.reporter.note(f"the disk space is free when the registry collects its blobs ({opened.reclaim_hint})")


def _collected(plan: CachePlan, freed_bytes: int, dry_run: bool) -> str:
    verb = "would delete" if dry_run else "deleted"
    lines = [f"{verb} {item.path}" for item in plan.dead]
    lines += [f"deletable from {when(at)}: {item.path}" for item, at in plan.too_young]
    if plan.orphans:
        lines.append(f"{verb} {count(len(plan.orphans), 'file')} of killed pushes")
    amount = f"{count(len(plan.dead), 'object')}, {size(freed_bytes)}"
    return "\n".join([*lines, f"{verb} {amount}; {len(plan.kept)} are kept, {len(plan.too_young)} are not old enough"])


@command("verify", group=cache_command)
@click.argument("cache")
@click.option("--contents", is_flag=True, help="Also read every byte of every archive, delta and SBOM.")
def verify_command(settings: Settings, cache: str, contents: bool) -> None:
    """Check the records of CACHE, their signatures, and the archives, deltas and SBOMs.

    The exit code is 10 if there are problems.
    """
    from vstore.api.caches import open_cache, verify_cache

    reporter = settings.reporter
    with settings.open_store(create=True) as store:
        opened = open_cache(store, cache, reporter=reporter)
        checked, problems = verify_cache(store, opened, contents=contents, reporter=reporter)
    document: CacheVerifyDocument = {
        "checked": checked,
        "problems": [{"key": one.key, "problem": one.problem} for one in problems],
    }
    lines = [f"{one.key}: {one.problem}" for one in problems]
    found = count(len(problems), "problem")
    settings.emit(document, lambda: "\n".join([*lines, f"checked {count(checked, 'object')}, {found}"]))
    if problems:
        reporter.warn(
            f"{found} in {opened.name}",
            hint=f"`vstore push --verify {cache} WHAT`, from a store that has the objects, replaces damaged ones;"
            " with `--sbom` or `--delta-from` also their SBOMs and deltas",
        )
        sys.exit(CacheError.exit_code)


@command("pin", group=cache_command)
@click.argument("cache")
@click.argument("what")
def pin_command(settings: Settings, cache: str, what: str) -> None:
    """Keep an object and everything it refers to in CACHE, even if no channel reaches it.

    WHAT is a store path of CACHE, or names an object of this store.
    """
    _pin(settings, cache, what, True)


@command("unpin", group=cache_command)
@click.argument("cache")
@click.argument("what")
def unpin_command(settings: Settings, cache: str, what: str) -> None:
    """Remove the pin of an object from CACHE.

    WHAT is a store path of CACHE, or names an object of this store.
    """
    _pin(settings, cache, what, False)


def _pin(settings: Settings, cache: str, text: str, pinned: bool) -> None:
    from vstore.api.caches import open_cache, pin, unpin
    from vstore.api.stores import StorePath, resolve_what

    with settings.open_store(create=True) as store:
        opened = open_cache(store, cache, reporter=settings.reporter)
        try:
            path = StorePath.parse(text)
        except ValueError:
            path = resolve_what(store, text).path
        (pin if pinned else unpin)(opened, path)
    document: PinDocument = {"path": str(path), "pinned": pinned}
    settings.emit(document, lambda: f"{path} is {'pinned' if pinned else 'not pinned'}")
