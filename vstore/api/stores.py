"""Stores: opening one, its objects, and what keeps them alive."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vstore.digest import Digest
from vstore.errors import StoreError
from vstore.fs.disk import is_read_only
from vstore.fs.paths import absolute
from vstore.fs.reading import read_regular
from vstore.graph import shortest_path
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.store import (
    Root,
    RootKind,
    RootNote,
    Store,
    StoreLayout,
    add_root,
    keep_emergency_space,
    list_roots,
    object_at,
    owner_of,
    release_emergency_space,
    remove_root,
)

ENVIRONMENT_ROOT = ".vstore-root"  # the link in a virtual environment that keeps alive what it stands on

__all__ = [
    "ENVIRONMENT_ROOT",
    "Kind",
    "ObjectInfo",
    "Root",
    "RootKind",
    "RootNote",
    "Store",
    "StoreLayout",
    "StorePath",
    "check_out_link",
    "default_root",
    "dependency_chain",
    "describe_index",
    "environment_base",
    "is_read_only",
    "keep",
    "keep_emergency_space",
    "list_roots",
    "open_store",
    "owner_of",
    "query_index",
    "read_log",
    "release_emergency_space",
    "remove_root",
]


def default_root() -> Path:
    """Where the store is unless somebody says otherwise: ``$VSTORE_ROOT``, else this user's folder for data."""
    if chosen := os.environ.get("VSTORE_ROOT"):
        return absolute(chosen)
    from platformdirs import user_data_path

    return user_data_path("vstore")


def open_store(root: Path | None = None, *, read_only: bool = False) -> Store:
    """Open the store at `root`, making it unless read-only. Raises StoreError or OSError."""
    return Store.open(default_root() if root is None else root, read_only=read_only)


def keep(store: Store, path: StorePath, place: Path, note: RootNote | None = None) -> None:
    """Keep an object alive by a link at `place`, in the store's ``gcroots`` or anywhere else.

    Raises StoreError if the object is not there any more, and UsageError for a place where something else is.
    """
    from vstore.store.roots.links import claim_root, make_out_link

    claim_root(store.layout, place)
    store.add_temp_root(path)
    if not store.is_valid(path):
        raise StoreError(f"the object was garbage-collected in the meantime: {path}")
    if place.parent != store.layout.gcroots:
        make_out_link(store.layout, place, path)
    add_root(store.layout, place, path, note or RootNote())


def check_out_link(layout: StoreLayout, place: Path, *, trial: bool) -> None:
    """Raise UsageError, before any work, unless a link at `place` can be made, or one of this store's is there.

    With `trial` a link is made there for a moment.
    """
    from vstore.store.roots.links import claim_root

    claim_root(layout, place, trial=trial)


def environment_base(store: Store, folder: Path) -> StorePath | None:
    """Return the object that a virtual environment stands on; None for a folder that is no virtual environment.

    Raises StoreError for one that stands on no object of this store.
    """
    try:
        lines = read_regular(folder / "pyvenv.cfg", limit=1 << 16).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    settings = (line.partition("=") for line in lines)
    homes = [value.strip() for key, _, value in settings if key.strip().lower() == "home"]
    if not homes:
        return None
    base = object_at(store.layout, Path(homes[0]))
    if base is None:
        raise StoreError(f"the environment {folder} stands on no object of this store, but on {homes[0]}")
    return base


def dependency_chain(store: Store, top: StorePath, bottom: StorePath) -> tuple[StorePath, ...]:
    """The shortest chain of references from `top` to `bottom`, both included; empty if there is none."""
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
