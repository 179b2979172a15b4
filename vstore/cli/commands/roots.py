"""`roots`: what keeps objects alive."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.paths import parse_place
from vstore.cli.quantities import DEADLINE
from vstore.cli.settings import Settings
from vstore.cli.text import size, table, when
from vstore.errors import UsageError

if TYPE_CHECKING:
    from vstore.api.stores import Root, RootNote, Store


@command("roots")
@click.argument("action", type=click.Choice(["list", "add", "remove"]), default="list")
@click.argument("arguments", metavar="[LINK] [PATH]", nargs=-1)
@click.option("--note", default="", metavar="TEXT", help="With add: why it is kept.")
@click.option("--expires", type=DEADLINE, metavar="AGE|DATE", help="With add: keep it for AGE, or until DATE (UTC).")
def roots_command(
    settings: Settings, action: str, arguments: tuple[str, ...], note: str, expires: datetime | None
) -> None:
    """List what keeps objects alive; `add PATH` or `add LINK PATH` pins an object, `remove LINK` ends that.

    LINK is a place in the file system, or a bare name for a root inside the store (default: the store path). A PATH
    that is a virtual environment made by a layer's Python keeps alive what it stands on, for as long as it is there.
    """
    from vstore.api.stores import RootNote, remove_root

    if action != "add" and (note or expires):
        raise UsageError("--note and --expires go with `vstore roots add`")
    if len(arguments) not in {"list": (0,), "add": (1, 2), "remove": (1,)}[action]:
        raise UsageError("usage: vstore roots, vstore roots add [LINK] PATH, vstore roots remove LINK")
    with settings.open_store(read_only=action == "list") as store:
        if action == "list":
            _list(settings, store)
        elif action == "add":
            _add(settings, store, arguments, RootNote(note, expires))
        else:
            place = _place(store, arguments[0])
            remove_root(store.layout, place)
            settings.emit({"removed": str(place)}, lambda: f"removed {place}")


def _place(store: Store, text: str) -> Path:
    from vstore.api.stores import ENVIRONMENT_ROOT

    folder = parse_place(text, folder=True)
    if (folder / ENVIRONMENT_ROOT).is_symlink():
        return folder / ENVIRONMENT_ROOT
    return parse_place(text) if "/" in text else store.layout.gcroots / parse_place(text).name


def _add(settings: Settings, store: Store, arguments: tuple[str, ...], note: RootNote) -> None:
    from vstore.api.stores import ENVIRONMENT_ROOT, environment_base, keep

    environment = parse_place(arguments[-1], folder=True)
    if len(arguments) == 1 and (base := environment_base(store, environment)) is not None:
        target, place = base, environment / ENVIRONMENT_ROOT
    else:
        target = store.resolve(arguments[-1])
        place = _place(store, arguments[0]) if len(arguments) == 2 else store.layout.gcroots / str(target)
    keep(store, target, place, note)
    until = f" until {when(note.expires_at)}" if note.expires_at else ""
    document = {"root": str(place), "path": str(target), **_said(note)}
    settings.emit(document, lambda: f"{place} keeps {target}{until}")


def _said(note: RootNote) -> dict[str, object]:
    return {"note": note.text or None, "expires_at": when(note.expires_at) if note.expires_at else None}


def _list(settings: Settings, store: Store) -> None:
    from vstore.api import gc
    from vstore.api.stores import list_roots

    roots = list_roots(store.layout)
    exclusive = gc.exclusive_sizes(store, roots)
    now = datetime.now(UTC)
    documents = [
        {
            "kind": str(root.kind),
            "name": root.name,
            "path": str(root.path),
            "since": when(root.since) if root.since else None,
            "exclusive_bytes": exclusive[root.name],
            **_said(root.note),
        }
        for root in roots
    ]
    rows = [
        {**document, "only": size(exclusive[root.name]), "age": _age(root, now)}
        for root, document in zip(roots, documents, strict=True)
    ]
    columns = {"kind": "kind", "name": "name", "only": "exclusive", "age": "age"}
    if any(root.note.expires_at for root in roots):
        columns["expires_at"] = "expires"
    if any(root.note.text for root in roots):
        columns["note"] = "note"
    columns["path"] = "path"
    settings.emit(
        documents,
        lambda: f"{table(rows, columns)}\n{_total(store)}" if rows else "no roots: gc would delete everything",
    )


def _total(store: Store) -> str:
    from vstore.api import gc

    return f"the store takes {size(gc.used_bytes(store.layout.root))} on the disk"


def _age(root: Root, now: datetime) -> str | None:
    if root.since is None:
        return None
    seconds = max((now - root.since).total_seconds(), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds:.0f}s"
