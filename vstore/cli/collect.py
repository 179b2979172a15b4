"""`gc` and `roots`."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from vstore import gc
from vstore import profile as profiles
from vstore.cli.parse import AGE, SIZE
from vstore.cli.settings import Settings, command, size, table, when
from vstore.errors import StoreError, UsageError
from vstore.fs.atomic import replace_symlink
from vstore.store import Store, add_root, list_roots, remove_root


@command("gc")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and stop.")
@click.option("--keep", type=click.IntRange(1), metavar="K", help="First forget all but the newest K generations.")
@click.option("--older-than", type=AGE, metavar="AGE", help="First forget generations older than AGE.")
@click.option("--max-freed", type=SIZE, metavar="SIZE", help="Stop once so much is freed.")
@click.option("--until-free", type=SIZE, metavar="SIZE", help="Delete only until the disk has so much free space.")
@click.option("--clean-cache", is_flag=True, help="Also empty uv's cache, which shares files with the objects.")
def gc_command(
    settings: Settings,
    dry_run: bool,
    keep: int | None,
    older_than: timedelta | None,
    max_freed: int | None,
    until_free: int | None,
    clean_cache: bool,
) -> None:
    """Forget generations by policy, then delete every object that no root reaches."""
    with settings.open_store() as store:
        forgotten = _expired(store, keep, older_than)
        if until_free is not None:
            missing = gc.shortfall(store, until_free)
            max_freed = missing if max_freed is None else min(max_freed, missing)
        report = settings.report
        try:
            if dry_run:
                plan = gc.plan_collection(store, gc.Policy(max_freed=max_freed), without=forgotten)
                dead, freed, litter = plan.dead, plan.freed_bytes, plan.litter
            else:
                for name, number in forgotten:
                    profiles.forget(store, name, [number])
                done = gc.collect(store, gc.Policy(max_freed=max_freed), report=report)
                if clean_cache:
                    report.stage("gc", "cleaning uv's cache")
                    settings.uv(store).run(["cache", "clean"], doing="cleaning its cache")
                dead, freed, litter = done.deleted, done.freed_bytes, done.litter
        finally:
            report.close()
    document = {
        "dead": [str(path) for path in dead],
        "deleted": [] if dry_run else [str(path) for path in dead],
        "freed_bytes": freed,
        "litter": [os.fsencode(name).decode(errors="backslashreplace") for name in litter],
        "forgotten": [{"profile": name, "generation": number} for name, number in forgotten],
    }
    settings.emit(document, lambda: _text(document, dry_run))


def _expired(store: Store, keep: int | None, older_than: timedelta | None) -> list[tuple[str, int]]:
    if keep is None and older_than is None:
        return []
    now = datetime.now(UTC)
    return [
        (name, number)
        for name in profiles.names(store)
        for number in profiles.expired(profiles.history(store, name), keep=keep, older_than=older_than, now=now)
    ]


def _text(document: dict[str, object], dry_run: bool) -> str:
    dead, forgotten = document["dead"], document["forgotten"]
    assert isinstance(dead, list) and isinstance(forgotten, list)
    verb, past = ("would delete", "would forget") if dry_run else ("deleted", "forgot")
    lines = [f"{past} generation {one['generation']} of {one['profile']}" for one in forgotten]
    lines += [f"{verb} {path}" for path in dead]
    if isinstance(litter := document["litter"], list) and litter:
        lines.append(f"{verb} {len(litter)} leftovers of killed processes")
    lines.append(f"{verb} {len(dead)} objects, {size(int(str(document['freed_bytes'])))}")
    return "\n".join(lines)


@command("roots")
@click.argument("action", type=click.Choice(["list", "add", "remove"]), default="list")
@click.argument("link", type=click.Path(path_type=Path), required=False)
@click.argument("path", required=False)
def roots_command(settings: Settings, action: str, link: Path | None, path: str | None) -> None:
    """List what keeps objects alive; `add LINK PATH` makes a link that does, `remove LINK` ends it.

    LINK is a place in the file system, or a bare name for a root inside the store.
    """
    with settings.open_store(read_only=action == "list") as store:
        if action == "list":
            _list(settings, store)
            return
        if link is None or (action == "add") == (path is None):
            raise UsageError("usage: vstore roots add LINK PATH, vstore roots remove LINK")
        outside = len(link.parts) > 1 or link.is_absolute()
        place = link.expanduser().absolute() if outside else store.layout.gcroots / link
        if action == "add":
            target = store.resolve(str(path))
            store.temp_root(target)
            if not store.is_valid(target):
                raise StoreError(f"just collected: {target}")
            if outside:
                replace_symlink(place, str(store.layout.object(target)))
            add_root(store.layout, place, target)
            settings.emit({"root": str(place), "path": str(target)}, lambda: f"{place} keeps {target}")
        else:
            remove_root(store.layout, place)
            settings.emit({"removed": str(place)}, lambda: f"removed {place}")


def _list(settings: Settings, store: Store) -> None:
    roots = list_roots(store.layout)
    exclusive = gc.exclusive_sizes(store, roots)
    documents = [
        {
            "kind": str(root.kind),
            "name": root.name,
            "path": str(root.path),
            "since": when(root.since) if root.since else None,
            "only_it_keeps_bytes": exclusive[root.name],
        }
        for root in roots
    ]
    rows = [{**document, "only": size(int(str(document["only_it_keeps_bytes"])))} for document in documents]
    columns = {"kind": "kind", "name": "name", "only": "only it keeps", "since": "since", "path": "path"}
    settings.emit(documents, lambda: table(rows, columns) if rows else "no roots: gc would delete everything")
