"""`gc` and `delete`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command, options
from vstore.cli.options import dry_run_option
from vstore.cli.quantities import AGE, SIZE
from vstore.cli.settings import Settings
from vstore.cli.text import when
from vstore.plural import count
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api import gc
    from vstore.api.stores import Store
    from vstore.cli.documents.stores import CollectionDocument, DeletionDocument


@command("gc")
@dry_run_option
@click.option("--until-free", type=SIZE, metavar="SIZE", help="Delete only until SIZE is free on the disk.")
@click.option(
    "--clean-cache", is_flag=True, help="Remove all packed archives and empty uv's cache; waits for running builds."
)
@options(
    "limits",
    dict,
    click.option("--keep", type=click.IntRange(1), metavar="K", help="Forget all but the newest K generations."),
    click.option("--older-than", type=AGE, metavar="AGE", help="Forget generations made longer ago than AGE."),
    click.option("--unused-for", type=AGE, metavar="AGE", help="Forget generations and delete objects unused for AGE."),
    click.option("--grace", type=AGE, metavar="AGE", help="Keep objects made within AGE."),
    click.option("--max-size", type=SIZE, metavar="SIZE", help="Delete only until the store takes at most SIZE."),
    click.option("--max-freed", type=SIZE, metavar="SIZE", help="Stop when SIZE is freed."),
    click.option(
        "--cache-unshared-for",
        type=AGE,
        metavar="AGE",
        help="Remove wheels from uv's cache that no object has shared for AGE (default: 14d).",
    ),
    click.option(
        "--cache-max-size",
        type=SIZE,
        metavar="SIZE",
        help="Remove wheels that no object shares until they take at most SIZE.",
    ),
)
def gc_command(
    settings: Settings, dry_run: bool, until_free: int | None, clean_cache: bool, limits: dict[str, object]
) -> None:
    """Options that are not given are taken from [gc] in config.toml. A generation is forgotten when all limits allow
    it. An object is deleted when no root reaches it and no limit spares it, the longest unused first.
    """
    from vstore.api import gc

    reporter = settings.reporter
    with settings.open_store(for_collection=True) as store:
        chosen = gc.GcOptions(gc.limits_of(store, **limits), until_free, clean_cache)
        done = gc.plan_gc(store, chosen) if dry_run else gc.run_gc(store, chosen, reporter=reporter)
        if done.found.skipped:
            owners = ", ".join(gc.owners_of_skipped(store, done.found))
            reporter.warn(
                f"{count(len(done.found.skipped), 'dead object')} of {owners}: not deleted",
                hint="their owner, or root, can delete them with `vstore gc`",
            )
        if spared := done.found.spared - len(done.found.skipped):
            reporter.note(
                f"{count(spared, 'dead object')} {'stays' if spared == 1 else 'stay'}: {_limits(store, chosen)}"
            )
    if done.missing_bytes and until_free is not None:
        reporter.warn(
            f"{size(until_free - done.missing_bytes)} are free, {size(until_free)} wanted",
            hint="`vstore roots` lists the roots that keep the rest",
        )
    document: CollectionDocument = {
        **_document(done.found, dry_run),
        "skipped": [str(path) for path in done.found.skipped],
        "orphans": [os.fsencode(name).decode(errors="backslashreplace") for name in done.found.orphans],
        "cached_wheels": list(done.found.wheels),
        "forgotten": [{"profile": name, "generation": number} for name, number in done.forgotten],
    }
    settings.emit(document, lambda: _text(done, dry_run))


def _limits(store: Store, options: gc.GcOptions) -> str:
    """Return the limits that can spare dead objects, with the sizes that they are compared with."""
    from vstore.api import gc

    said = {"max_size": "the store takes {}, max_size is {}", "until_free": "{} are free, {} wanted"}
    sizes = gc.limits_reached(store, options).items()
    parts = [said[name].format(size(found), size(limit)) for name, (found, limit) in sizes]
    if options.limits.max_freed is not None:
        parts.append(f"max_freed is {size(options.limits.max_freed)}")
    if options.limits.grace or options.limits.unused_for:
        parts.append("grace and unused_for spare recent ones")
    return "; ".join(parts) or "objects that stay refer to them"


def _document(found: gc.CollectionPlan | gc.Collected, dry_run: bool) -> DeletionDocument:
    paths = [str(victim.path) for victim in found.victims]
    return {
        "deletable": paths,
        "deleted": [] if dry_run else paths,
        "freed_bytes": found.freed_bytes,
        "reasons": [
            {
                "path": str(victim.path),
                "size_bytes": victim.size_bytes,
                "registered_at": when(victim.registered_at),
                "used_on": victim.used_on.isoformat(),
                "used_by": victim.used_by or None,
                "build_seconds": victim.build_seconds,
            }
            for victim in found.victims
        ],
    }


def _text(done: gc.GcResult, dry_run: bool) -> str:
    verb, past, gain = ("would delete", "would forget", "would free") if dry_run else ("deleted", "forgot", "freed")
    found, now = done.found, datetime.now(UTC)
    lines = [f"{past} generation {number} of {name}" for name, number in done.forgotten]
    lines += [f"{verb} {victim.path}  {_reason(victim, now)}" for victim in found.victims]
    if orphans := len(found.orphans) - len(found.archives):
        lines.append(f"{verb} {count(orphans, 'leftover')} of killed processes")
    if found.archives:
        lines.append(f"{verb} {count(len(found.archives), 'packed archive')}")
    if found.wheels:
        lines.append(f"{verb} {count(len(found.wheels), 'cached wheel')} that no object shares")
    return "\n".join([*lines, f"{verb} {count(len(found.victims), 'object')}, {gain} {size(found.freed_bytes)}"])


def _reason(victim: gc.Victim, now: datetime) -> str:
    """Return why an object is deleted: ``4.8 GiB, no root, unused for 19 days, last by nightly, built in 162 s``."""
    days = max((now.date() - victim.used_on).days, 0)
    parts = [size(victim.size_bytes), "no root", f"unused for {count(days, 'day')}" if days else "used today"]
    if victim.used_by:
        parts.append(f"last by {victim.used_by}")
    if victim.build_seconds is not None:
        parts.append(f"built in {victim.build_seconds:.0f} s")
    return ", ".join(parts)


@command("delete")
@click.argument("what", nargs=-1, required=True)
@click.option("--recursive", is_flag=True, help="Also delete the objects that only these refer to.")
@click.option("--referrers", is_flag=True, help="Also delete the dead objects that refer to these.")
@dry_run_option
def delete_command(settings: Settings, what: tuple[str, ...], recursive: bool, referrers: bool, dry_run: bool) -> None:
    """If an object is alive, nothing is deleted, and the roots that keep it are shown."""
    from vstore.api import gc
    from vstore.api.stores import resolve_what

    with settings.open_store() as store:
        wanted = {resolve_what(store, text).path for text in what}
        found: gc.CollectionPlan | gc.Collected
        if dry_run:
            found = gc.plan_deletion(store, wanted, recursive=recursive, referrers=referrers)
        else:
            found = gc.delete(store, wanted, recursive=recursive, referrers=referrers, reporter=settings.reporter)
    settings.emit(_document(found, dry_run), lambda: _text(gc.GcResult((), found), dry_run))
