"""Stores: open a store, ask about its objects, and keep objects alive.

Example::

    from vstore.api import stores

    with stores.open_store() as store:
        for root in stores.list_roots(store.layout):
            print(root.kind, root.path)
            for member in stores.closure(store, root.path):
                print(member.path, member.size_bytes)
        print(stores.resolve_what(store, "project/app-hello").place)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vstore.digest import Digest
from vstore.errors import NotFoundError, StoreError, UsageError, suggestion
from vstore.fs.disk import is_read_only
from vstore.fs.paths import absolute
from vstore.graph import shortest_path
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.profile import What, resolve_what
from vstore.store import (
    Root,
    RootKind,
    RootNote,
    Store,
    StoreLayout,
    add_root,
    list_roots,
    object_at,
    owner_of,
    release_emergency_space,
    remove_root,
)
from vstore.store.default_root import is_substitute, usable_root
from vstore.store.roots.links import ENVIRONMENT_ROOT, claim_root, is_root, make_out_link

__all__ = [
    "ENVIRONMENT_ROOT",
    "Digest",
    "Kind",
    "ObjectInfo",
    "Root",
    "RootKind",
    "RootNote",
    "Store",
    "StoreLayout",
    "StorePath",
    "What",
    "check_out_link",
    "closure",
    "default_root",
    "dependency_chain",
    "describe_index",
    "environment_base",
    "find_root",
    "is_read_only",
    "is_substitute",
    "keep",
    "list_roots",
    "object_info",
    "open_store",
    "owner_of",
    "query_index",
    "read_log",
    "referrers",
    "remove_root",
    "resolve_what",
]


def default_root() -> Path:
    """Return the root of the store: ``$VSTORE_ROOT``, else a folder in this user's data folder.

    A user without a home folder has it in ``/var/tmp``. Raises StoreError if that folder is another user's.
    """
    if chosen := os.environ.get("VSTORE_ROOT"):
        return absolute(chosen)
    from platformdirs import user_data_path

    return usable_root(user_data_path("vstore"))


def open_store(
    root: str | Path | None = None, *, read_only: bool = False, create: bool = True, for_collection: bool = False
) -> Store:
    """Open the store at `root` (default: `default_root()`).

    If there is none, it is made, unless `read_only` or without `create`.

    With `for_collection` the disk may be full: the space that the store reserves for a collection is released first.
    Raises StoreError or OSError.
    """
    chosen = default_root() if root is None else absolute(root)
    if for_collection:
        release_emergency_space(StoreLayout(chosen))
    return Store.open(chosen, read_only=read_only, create=create)


def keep(store: Store, path: StorePath, place: Path, note: RootNote | None = None) -> None:
    """Keep an object alive by a link at `place`, in the store's ``gcroots`` or anywhere else.

    Raises StoreError if the object does not exist any more, and UsageError if something else is at that path.
    """
    claim_root(store.layout, place)
    store.add_temp_root(path)
    if not store.is_valid(path):
        raise StoreError(f"the object was garbage-collected in the meantime: {path}", hint="realise or pull it again")
    if place.parent != store.layout.gcroots:
        make_out_link(store.layout, place, path)
    add_root(store.layout, place, path, note or RootNote())


def find_root(store: Store, text: str) -> Path:
    """Return the place of a root that `keep` made.

    The text is its path, its name in ``gcroots``, its virtual environment, or names the object that it keeps.
    Raises NotFoundError if there is no such root, and UsageError if several keep the object.
    """
    place = absolute(text)
    inside = (store.layout.root if "/" in text else store.layout.gcroots) / text
    named = [place / ENVIRONMENT_ROOT, place, inside]
    if found := next((one for one in named if is_root(store.layout, one)), None):
        return found
    users = [one for one in list_roots(store.layout) if one.kind == RootKind.USER]
    roots = {store.layout.root / one.name: one.path for one in users}
    keeping = [one for one, path in roots.items() if path.name == text or str(path).startswith(text)]
    if not keeping:
        try:
            path = resolve_what(store, text).path
        except NotFoundError as error:
            names = [one.name.removeprefix("gcroots/") for one in users]
            hint = f"{suggestion(text, names)}`vstore roots` lists them"
            raise NotFoundError(f"not a root: {text}", hint=hint) from error
        keeping = [one for one, kept in roots.items() if kept == path]
        if not keeping:
            raise NotFoundError(f"no root of a user keeps {path}", hint="`vstore roots` lists the roots")
    if len(keeping) > 1:
        raise UsageError(f"{len(keeping)} roots keep {text}", details=map(str, keeping), hint="give the path of one")
    return keeping[0]


def check_out_link(layout: StoreLayout, place: Path, *, trial: bool) -> None:
    """Check, before any work, that `place` is a link of this store or free. Raises UsageError.

    With `trial` a link is made there and removed.
    """
    claim_root(layout, place, trial=trial)


def environment_base(store: Store, folder: Path) -> StorePath | None:
    """Return the object whose Python made a virtual environment; None if the folder is no virtual environment.

    Raises StoreError if its Python is not in this store.
    """
    from vstore.environments.pyvenv import read_configuration

    home = read_configuration(folder).get("home")
    if home is None:
        return None
    base = object_at(store.layout, Path(home))
    if base is None:
        hint = "`vstore develop` makes one on a layer, and so does `bin/python -m venv` of the layer"
        raise StoreError(f"the environment {folder} stands on no object of this store, but on {home}", hint=hint)
    return base


def object_info(store: Store, path: StorePath) -> ObjectInfo:
    """Return the row of an object in the index. Raises NotFoundError if the store does not have it."""
    info = store.objects.info(path)
    if info is None:
        raise NotFoundError(f"there is no object {path}", hint="`vstore list` shows the objects")
    return info


def referrers(store: Store, path: StorePath) -> list[StorePath]:
    """Return the objects that refer to an object directly, other than itself."""
    return store.objects.referrers(path)


def closure(store: Store, path: StorePath) -> list[ObjectInfo]:
    """Return an object and everything it refers to, directly or not, sorted by store path."""
    infos = store.objects.closure_infos([path])
    return [infos[member] for member in sorted(infos)]


def dependency_chain(store: Store, top: StorePath, bottom: StorePath) -> tuple[StorePath, ...]:
    """Return a shortest chain of references from `top` to `bottom`, both included. It is empty if there is none."""
    return shortest_path(top, bottom, lambda path: info.references if (info := store.objects.info(path)) else ())


def read_log(store: Store, recipe: Digest) -> str | None:
    """Return the log of the build of a recipe; None if it was not built in this store."""
    from vstore.store.build_logs import read_log

    return read_log(store.layout, recipe)


def query_index(store: Store, sql: str, parameters: Mapping[str, str] | None = None) -> list[dict[str, object]]:
    """Run a read-only SQL query on the index, and return its rows. Bytes are in hexadecimal.

    `parameters` are the values for ``:name`` in the query. Raises UsageError for a query that SQLite rejects.
    """
    from vstore.store.index.queries import query_index

    return query_index(store, sql, parameters)


def describe_index(store: Store) -> list[dict[str, object]]:
    """Return the tables of the index, each with ``table``, ``columns`` and ``rows``, the number of rows."""
    from vstore.store.index.queries import describe_index

    return describe_index(store)
