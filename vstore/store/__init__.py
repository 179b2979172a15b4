"""The store: objects on disk, the index of them, and what keeps them alive.

What most commands do without is in `store.verify`, `store.optimise` and `store.reindex`.
"""

from vstore.store.emergency_space import keep_emergency_space, release_emergency_space
from vstore.store.index.generations import GenerationRow
from vstore.store.index.objects import Expected, Graph, Index
from vstore.store.layout import ARCHIVE_SUFFIX, Layout, generation_link, generation_of, is_new_index, owner_of
from vstore.store.root_notes import RootNote
from vstore.store.roots import (
    Root,
    RootKind,
    add_root,
    generation_links,
    list_roots,
    object_at,
    read_roots,
    remove_root,
)
from vstore.store.store import Store

__all__ = [
    "ARCHIVE_SUFFIX",
    "Expected",
    "GenerationRow",
    "Graph",
    "Index",
    "Layout",
    "Root",
    "RootKind",
    "RootNote",
    "Store",
    "add_root",
    "generation_link",
    "generation_links",
    "generation_of",
    "is_new_index",
    "keep_emergency_space",
    "list_roots",
    "object_at",
    "owner_of",
    "read_roots",
    "release_emergency_space",
    "remove_root",
]
