"""`gc` and `delete`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.quantities import AGE, SIZE
from vstore.cli.settings import Settings
from vstore.cli.text import size, when

if TYPE_CHECKING:
    from vstore.api import gc
    from vstore.api.config import GcConfig
    from vstore.api.stores import Store


@command("gc")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted and why, and stop.")
@click.option("--keep", type=click.IntRange(1), metavar="K", help="First forget all but the newest K generations.")
@click.option("--older-than", type=AGE, metavar="AGE", help="First forget generations older than AGE.")
@click.option("--unused-for", type=AGE, metavar="AGE", help="Forget generations, and delete objects, unused for AGE.")
@click.option("--grace", type=AGE, metavar="AGE", help="Leave objects alone that were made within AGE.")
@click.option("--max-size", type=SIZE, metavar="SIZE", help="Delete only until the store takes no more than SIZE.")
@click.option("--until-free", type=SIZE, metavar="SIZE", help="Delete only until the disk has so much free space.")
@click.option("--max-freed", type=SIZE, metavar="SIZE", help="Stop once so much is freed.")
@click.option(
    "--cache-unshared-for",
    type=AGE,
    metavar="AGE",
    help="Remove wheels from uv's cache that no object has shared for AGE (default 14d).",
)
@click.option(
    "--cache-max-size",
    type=SIZE,
    metavar="SIZE",
    help="Remove wheels that no object shares until all of them take no more than SIZE.",
)
@click.option(
    "--clean-cache", is_flag=True, help="Empty uv's cache, whatever is shared, and that of `serve`; waits for builds."
)
def gc_command(settings: Settings, dry_run: bool, clean_cache: bool, until_free: int | None, **given: object) -> None:
    """Options that are not given are taken from [gc] in config.toml. A generation is forgotten when all limits allow
    it, an object is deleted when no root reaches it and no limit spares it. The longest unused objects go first.
    """
    from vstore.api import gc
    from vstore.api.stores import StoreLayout, keep_emergency_space, release_emergency_space

    release_emergency_space(StoreLayout(settings.location()))
    with settings.open_store() as store:
        limits = _limits(store, given)
        now = datetime.now(UTC)
        policy = gc.policy_of(limits, until_free=until_free, now=now, clean_cache=clean_cache)
        reporter = settings.reporter
        found: gc.CollectionPlan | gc.Collected
        try:
            if dry_run:
                forgotten = gc.forgettable(store, limits, now=now)
                found = gc.plan_collection(store, policy, without=forgotten)
            else:
                forgotten = gc.forget_expired(store, limits, now=now, reporter=reporter)
                found = gc.collect_garbage(store, policy, reporter=reporter)
                keep_emergency_space(store.layout)
        except KeyboardInterrupt:
            reporter.note("the store is whole; `vstore gc` goes on where this one stopped")
            raise
        if found.skipped:
            whose = ", ".join(gc.owner_names(store.layout, found.skipped))
            reporter.warn(
                f"{len(found.skipped)} dead objects belong to {whose} and stay",
                hint="their `vstore gc`, or root's, can delete them",
            )
        if not dry_run and until_free is not None and gc.shortfall(store, until_free):
            reporter.warn(
                f"less than {size(until_free)} are free still", hint="`vstore roots` shows what keeps the rest"
            )
    document = {
        **(_document(found, dry_run) if settings.json else {}),
        "skipped": [str(path) for path in found.skipped],
        "orphans": [os.fsencode(name).decode(errors="backslashreplace") for name in found.orphans],
        "cached_wheels": list(found.wheels),
        "forgotten": [{"profile": name, "generation": number} for name, number in forgotten],
    }
    settings.emit(document, lambda: _text(found, forgotten, dry_run, now))


def _limits(store: Store, given: Mapping[str, object]) -> GcConfig:
    """The options, and for those not given what config.toml says."""
    from vstore.api.config import GcConfig

    configured = store.config.gc
    chosen = {name: getattr(configured, name) if value is None else value for name, value in given.items()}
    return GcConfig(**chosen)  # type: ignore[arg-type]


def _document(found: gc.CollectionPlan | gc.Collected, dry_run: bool) -> dict[str, object]:
    paths = [str(victim.path) for victim in found.victims]
    return {
        "dead": paths,
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


def _text(
    found: gc.CollectionPlan | gc.Collected, forgotten: Sequence[tuple[str, int]], dry_run: bool, now: datetime
) -> str:
    verb, past, gain = ("would delete", "would forget", "would free") if dry_run else ("deleted", "forgot", "freed")
    lines = [f"{past} generation {number} of {name}" for name, number in forgotten]
    lines += [f"{verb} {victim.path}  {_why(victim, now)}" for victim in found.victims]
    if left := len(found.orphans) - len(found.archives):
        lines.append(f"{verb} {left} leftovers of killed processes")
    if found.archives:
        lines.append(f"{verb} {len(found.archives)} archives that `vstore serve` packed")
    if found.wheels:
        lines.append(f"{verb} {len(found.wheels)} cached wheels that no object shares")
    return "\n".join([*lines, f"{verb} {len(found.victims)} objects, {gain} {size(found.freed_bytes)}"])


def _why(victim: gc.Victim, now: datetime) -> str:
    """``4.8 GiB, no root, unused for 19 days, last by nightly, built in 162 s``."""
    days = max((now.date() - victim.used_on).days, 0)
    parts = [size(victim.size_bytes), "no root", f"unused for {days} days" if days else "used today"]
    if victim.used_by:
        parts.append(f"last by {victim.used_by}")
    if victim.build_seconds is not None:
        parts.append(f"built in {victim.build_seconds:.0f} s")
    return ", ".join(parts)


@command("delete")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True)
@click.option("--recursive", is_flag=True, help="Also delete what only these refer to.")
@click.option("--referrers", is_flag=True, help="Also delete dead objects that refer to these.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and stop.")
def delete_command(settings: Settings, paths: tuple[str, ...], recursive: bool, referrers: bool, dry_run: bool) -> None:
    """If an object is alive, nothing is deleted, and the roots that keep it are shown."""
    from vstore.api import gc

    with settings.open_store() as store:
        wanted = {store.resolve(path) for path in paths}
        reporter = settings.reporter
        found: gc.CollectionPlan | gc.Collected
        if dry_run:
            found = gc.plan_deletion(store, wanted, recursive=recursive, referrers=referrers)
        else:
            found = gc.delete(store, wanted, recursive=recursive, referrers=referrers, reporter=reporter)
    settings.emit(_document(found, dry_run), lambda: _text(found, (), dry_run, datetime.now(UTC)))
