"""The store: objects on disk, the index of them, and the roots that keep them alive.

`store.health` has the parts that few commands need: verifying, sharing equal files, rebuilding the index.
"""

from vstore.store.creation import own_uv_cache, owner_of
from vstore.store.emergency_space import keep_emergency_space, release_emergency_space
from vstore.store.layout import ARCHIVE_SUFFIX, StoreLayout, generation_link, generation_of, is_new_index, packed_object
from vstore.store.model import BuildCost, BuildStatement, Generation, ObjectGraph, Provenance
from vstore.store.roots.links import add_root, object_at, remove_root
from vstore.store.roots.notes import RootNote
from vstore.store.roots.reading import Root, RootKind, generation_links, list_roots, read_roots
from vstore.store.store import Store

__all__ = [
    "ARCHIVE_SUFFIX",
    "BuildCost",
    "BuildStatement",
    "Generation",
    "ObjectGraph",
    "Provenance",
    "Root",
    "RootKind",
    "RootNote",
    "Store",
    "StoreLayout",
    "add_root",
    "generation_link",
    "generation_links",
    "generation_of",
    "is_new_index",
    "keep_emergency_space",
    "list_roots",
    "object_at",
    "own_uv_cache",
    "owner_of",
    "packed_object",
    "read_roots",
    "release_emergency_space",
    "remove_root",
]
