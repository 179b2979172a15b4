"""The spec: reading it, its layers and their order, and their modules.

Selecting layers is in `spec.select`, which a no-op does not import.
"""

from vstore.spec.files.sources import copy_source, source_files, source_manifest
from vstore.spec.find import find_spec, specs_in
from vstore.spec.load import check_requirement_syntax, load
from vstore.spec.model import DEFAULT_LINUX, DEFAULT_MACOS, Layer, Spec

__all__ = [
    "DEFAULT_LINUX",
    "DEFAULT_MACOS",
    "Layer",
    "Spec",
    "check_requirement_syntax",
    "copy_source",
    "find_spec",
    "load",
    "source_files",
    "source_manifest",
    "specs_in",
]
