"""The store: objects on disk, the index of them, and what keeps them alive."""

from vstore.store.generations import GenerationRow
from vstore.store.index import Graph, Index
from vstore.store.layout import Layout, owner_of
from vstore.store.optimise import Optimised, optimise
from vstore.store.pins import Pin
from vstore.store.reindex import reindex
from vstore.store.reserve import keep_reserve, release_reserve
from vstore.store.roots import Root, RootKind, add_root, generation_links, list_roots, object_at, remove_root
from vstore.store.store import Store
from vstore.store.verify import Problem, mend, mend_links, verify

__all__ = [
    "GenerationRow",
    "Graph",
    "Index",
    "Layout",
    "Optimised",
    "Pin",
    "Problem",
    "Root",
    "RootKind",
    "Store",
    "add_root",
    "generation_links",
    "keep_reserve",
    "list_roots",
    "mend",
    "mend_links",
    "object_at",
    "optimise",
    "owner_of",
    "reindex",
    "release_reserve",
    "remove_root",
    "verify",
]
