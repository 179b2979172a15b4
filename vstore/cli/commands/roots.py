"""`roots list`, `roots add` and `roots remove`: the roots, which keep objects alive."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command, command_group, options
from vstore.cli.listing import Order, names_argument, sort_options
from vstore.cli.paths import parse_place
from vstore.cli.quantities import DEADLINE
from vstore.cli.settings import Settings
from vstore.cli.text import table, when
from vstore.errors import UsageError
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.stores import RootNote, Store
    from vstore.cli.documents.stores import AddedRootDocument, RemovedRootDocument, RootDocument, RootsDocument


_KINDS = ("profile", "user", "temp", "process")


@command_group("roots", default="list")
def roots_command() -> None:
    """Without a subcommand the roots are listed."""


@command("list", group=roots_command)
@names_argument
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Show only roots of this kind.")
@sort_options(
    {
        "kind": "kind",
        "name": "name",
        "size": "closure_size_bytes",
        "exclusive": "exclusive_bytes",
        "age": "since",
        "path": "path",
    }
)
def list_roots_command(settings: Settings, names: tuple[str, ...], kinds: tuple[str, ...], order: Order) -> None:
    """List the roots: profiles, links of users, and running programs.

    Each root is shown with the time since which it exists, the size of all that it keeps, and the disk space that
    only it keeps. NAME is the name of a
    root or of its object with shell-style wildcards, or the start of a store path.
    """
    from vstore.api import gc
    from vstore.api.listings import matches_name
    from vstore.api.stores import closure, list_roots

    with settings.open_store(read_only=True) as store:
        roots = list_roots(store.layout)
        exclusive = gc.exclusive_sizes(store, roots)
        sizes = {path: sum(one.size_bytes for one in closure(store, path)) for path in {root.path for root in roots}}
        used_bytes = gc.used_bytes(store.layout.root)
    shown = [
        root
        for root in roots
        if (not kinds or root.kind in kinds)
        and (matches_name(names, root.name) or matches_name(names, root.path.name, str(root.path)))
    ]
    found: list[RootDocument] = [
        {
            "kind": str(root.kind),
            "name": root.name,
            "path": str(root.path),
            "since": when(root.since) if root.since else None,
            "closure_size_bytes": sizes[root.path],
            "exclusive_bytes": exclusive[root.name],
            "note": root.note.text or None,
            "expires_at": when(root.note.expires_at) if root.note.expires_at else None,
        }
        for root in shown
    ]
    documents = order.of(found)

    def text() -> str:
        now = datetime.now(UTC)
        rows = [
            {
                **document,
                "size": size(document["closure_size_bytes"]),
                "only": size(document["exclusive_bytes"]),
                "age": _age(document["since"], now),
            }
            for document in documents
        ]
        columns = {"kind": "kind", "name": "name", "size": "size", "only": "exclusive", "age": "age"}
        if any(document["expires_at"] for document in documents):
            columns["expires_at"] = "expires"
        if any(document["note"] for document in documents):
            columns["note"] = "note"
        if not roots:
            return "no roots: `vstore gc` would delete every object"
        return f"{table(rows, {**columns, 'path': 'path'})}\nthe store takes {size(used_bytes)} on the disk"

    document: RootsDocument = {"roots": documents, "store_bytes": used_bytes}
    settings.emit(document, text)


def _root_note(note: str, expires: datetime | None) -> RootNote:
    from vstore.api.stores import RootNote

    return RootNote(note, expires)


@command("add", group=roots_command)
@click.argument("names", metavar="[LINK] WHAT", nargs=-1, required=True)
@options(
    "note",
    _root_note,
    click.option("--note", default="", metavar="TEXT", help="Why the object is kept."),
    click.option("--expires", type=DEADLINE, metavar="AGE|DATE", help="Keep it for AGE, or until DATE (UTC)."),
)
def add_root_command(settings: Settings, names: tuple[str, ...], note: RootNote) -> None:
    """Keep the object that WHAT names alive.

    LINK is the path of the new root, or a name for one inside the store (default: the store path). If WHAT is a virtual
    environment made by the Python of a layer, that layer is kept for as long as the environment exists.
    """
    from vstore.api.stores import ENVIRONMENT_ROOT, environment_base, keep, resolve_what

    if len(names) > 2:
        raise UsageError("usage: vstore roots add [LINK] WHAT")
    link, what = names[0] if len(names) == 2 else None, names[-1]
    with settings.open_store() as store:
        environment = parse_place(what, folder=True)
        if link is None and (base := environment_base(store, environment)) is not None:
            target, place = base, environment / ENVIRONMENT_ROOT
        else:
            target = resolve_what(store, what, keep=True).path
            place = store.layout.gcroots / str(target) if link is None else _place(store, link)
        keep(store, target, place, note)
    document: AddedRootDocument = {
        "root": str(place),
        "path": str(target),
        "note": note.text or None,
        "expires_at": when(note.expires_at) if note.expires_at else None,
    }
    until = f" until {document['expires_at']}" if note.expires_at else ""
    settings.emit(document, lambda: f"{place} keeps {target}{until}")


@command("remove", group=roots_command)
@click.argument("link")
def remove_root_command(settings: Settings, link: str) -> None:
    """LINK is the path of a root, its name inside the store, its virtual environment, or WHAT it keeps."""
    from vstore.api.stores import find_root, remove_root

    with settings.open_store() as store:
        place = find_root(store, link)
        remove_root(store.layout, place)
    document: RemovedRootDocument = {"removed": str(place)}
    settings.emit(document, lambda: f"removed {place}")


def _place(store: Store, text: str) -> Path:
    from vstore.api.stores import ENVIRONMENT_ROOT

    folder = parse_place(text, folder=True)
    if (folder / ENVIRONMENT_ROOT).is_symlink():
        return folder / ENVIRONMENT_ROOT
    return parse_place(text) if "/" in text else store.layout.gcroots / parse_place(text).name


def _age(since: str | None, now: datetime) -> str | None:
    if since is None:
        return None
    seconds = max((now - datetime.fromisoformat(since)).total_seconds(), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds:.0f}s"
