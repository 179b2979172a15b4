"""`vstore cache`: what a cache holds, what may go, what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from vstore.api.caches import Policy
from vstore.cli.command import command
from vstore.cli.quantities import AGE
from vstore.cli.settings import Settings
from vstore.cli.text import size, table, when
from vstore.errors import CacheError, UsageError

if TYPE_CHECKING:
    from vstore.api.caches import Cache, CachePlan, Trust

_POLICY = Policy()


@command("cache")
@click.argument("action", type=click.Choice(["ls", "gc", "verify", "pin", "unpin"]))
@click.argument("cache")
@click.argument("path", required=False)
@click.option("--dry-run", is_flag=True, help="gc: say what would be deleted, and stop.")
@click.option("--older-than", type=AGE, default=_POLICY.age, help="gc: untouched for so long (default: 14d).")
@click.option("--keep", type=click.IntRange(1), default=_POLICY.keep, help="gc: numbers of each channel (default: 3).")
@click.option("--grace", type=AGE, default=_POLICY.grace, help="gc: never delete what is younger (default: 1d).")
@click.option("--contents", is_flag=True, help="verify: read every byte of every archive and delta.")
def cache_command(
    settings: Settings,
    action: str,
    cache: str,
    path: str | None,
    dry_run: bool,
    older_than: timedelta,
    keep: int,
    grace: timedelta,
    contents: bool,
) -> None:
    """`ls` shows what CACHE holds, `gc` deletes what no channel and no pin reaches, `verify` checks it.

    `pin PATH` keeps a stack or any other object whatever the channels say, `unpin PATH` ends that.
    """
    from vstore.api.caches import open_cache, trust_of, verify_cache
    from vstore.api.config import read_config

    with settings.open_store() as store:
        config = read_config(store.layout.config_file)
        opened = open_cache(cache, config.caches)
        if action == "ls":
            _list(settings, opened)
        elif action == "gc":
            _collect(settings, opened, Policy(age=older_than, keep=keep, grace=grace), trust_of(config), dry_run)
        elif action == "verify":
            trust = trust_of(config)
            checked, found = verify_cache(store, opened, contents=contents, trust=trust, reporter=settings.reporter)
            problems = [{"key": one.key, "problem": one.problem} for one in found]
            lines = [*(f"{one.key}: {one.problem}" for one in found), f"checked {checked} objects"]
            settings.emit({"checked": checked, "problems": problems}, lambda: "\n".join(lines))
            if found:
                hint = f"`vstore push --verify {cache} WHAT`, where a store has it, replaces what is damaged"
                raise CacheError(f"{len(found)} problems in {opened.name}", hint=hint)
        else:
            _pin(settings, opened, path, action == "pin")


def _list(settings: Settings, cache: Cache) -> None:
    from vstore.api.caches import read_inventory

    inventory = read_inventory(cache)
    objects = [
        {
            "path": str(item.path),
            "kind": str(item.record.kind),
            "archive_bytes": item.record.archive.size_bytes,
            "size_bytes": item.record.size_bytes,
            "recipes": item.recipes,
            "touched_at": when(item.touched_at),
            "signed_by": [signature.key for signature in item.record.signatures],
        }
        for _, item in sorted(inventory.items.items())
    ]
    numbered = {(one.name, one.number): one for one in inventory.channels.values()}
    channels = [
        {
            "channel": one.name,
            "number": one.number,
            "path": str(one.path),
            "created_at": when(one.created_at),
            "expires_at": when(one.expires_at),
            "signed_by": [signature.key for signature in one.signatures],
        }
        for one in sorted(numbered.values(), key=lambda one: (one.name, one.number))
    ]
    document = {"cache": cache.url, "objects": objects, "channels": channels, "pins": [str(p) for p in inventory.pins]}

    def text() -> str:
        rows = [{**one, "archive": size(int(str(one["archive_bytes"])))} for one in objects]
        columns = {"kind": "kind", "archive": "archive", "recipes": "recipes", "touched_at": "touched", "path": "path"}
        parts = [table(rows, columns)]
        if channels:
            heads = {"channel": "channel", "number": "number", "expires_at": "expires", "path": "path"}
            parts.append(table(channels, heads))
        total = sum(item.size_bytes for item in inventory.items.values())
        return "\n\n".join([*parts, f"{len(objects)} objects, {size(total)}"])

    settings.emit(document, text)


def _collect(settings: Settings, cache: Cache, policy: Policy, trust: Trust, dry_run: bool) -> None:
    from vstore.api.caches import collect, make_plan, read_inventory

    plan = make_plan(read_inventory(cache), policy, now=datetime.now(UTC), trust=trust)
    deleted = () if dry_run else collect(cache, plan, policy, reporter=settings.reporter, trust=trust)
    document = {
        "dead": [str(item.path) for item in plan.dead],
        "deleted": [str(item.path) for item in deleted],
        "freed_bytes": sum(item.size_bytes for item in (plan.dead if dry_run else deleted)),
        "stray": list(plan.stray),
        "waiting": [{"path": str(item.path), "deletable_at": when(at)} for item, at in plan.waiting],
        "kept": [{"path": str(item.path), "by": by} for item, by in plan.kept],
    }
    settings.emit(document, lambda: _text(plan, int(str(document["freed_bytes"])), dry_run))


def _text(plan: CachePlan, freed_bytes: int, dry_run: bool) -> str:
    verb = "would delete" if dry_run else "deleted"
    lines = [f"{verb} {item.path}" for item in plan.dead]
    lines += [f"deletable from {when(at)}: {item.path}" for item, at in plan.waiting]
    if plan.stray:
        lines.append(f"{verb} {len(plan.stray)} leftovers of pushes that were killed")
    count = f"{len(plan.dead)} objects, {size(freed_bytes)}"
    return "\n".join([*lines, f"{verb} {count}; {len(plan.kept)} are kept, {len(plan.waiting)} are not old enough"])


def _pin(settings: Settings, cache: Cache, path: str | None, pin: bool) -> None:
    from vstore.api.caches import pin_key
    from vstore.api.stores import StorePath

    if path is None:
        raise UsageError("usage: vstore cache pin CACHE PATH")
    try:
        wanted = StorePath.parse(path)
    except ValueError as error:
        raise UsageError(f"not a store path: {path}") from error
    if pin and cache.object(wanted) is None:
        raise CacheError(f"{cache.name} does not have {wanted}")
    if pin:
        cache.transport.put(pin_key(wanted), b"{}\n")
    else:
        cache.transport.delete([pin_key(wanted)])
    settings.emit({"path": str(wanted), "pinned": pin}, lambda: f"{wanted} is {'pinned' if pin else 'not pinned'}")
