"""The spec: reading it, its layers and their order, and the modules it names."""

from vstore.spec.load import load
from vstore.spec.model import DEFAULT_MACOS, Layer, Spec, Target
from vstore.spec.select import Operation, Selection, Wish, matches, select
from vstore.spec.sources import source_digest, source_files

__all__ = [
    "DEFAULT_MACOS",
    "Layer",
    "Operation",
    "Selection",
    "Spec",
    "Target",
    "Wish",
    "load",
    "matches",
    "select",
    "source_digest",
    "source_files",
]
