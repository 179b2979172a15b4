"""``share/venv/metadata/venvstacks_layer.json``: what programs that embed venvstacks' layers read of a layer.

All paths are relative to the layer. There is one site-packages, in which the layers below are linked, so
`pylib_dirs` and `dynlib_dirs` are empty.
"""

from __future__ import annotations

import json
from pathlib import Path

from vstore.build.layer_metadata import LayerMetadata
from vstore.fs.atomic import write_file
from vstore.objects import Kind

METADATA = "share/venv/metadata/venvstacks_layer.json"


def write_venvstacks_metadata(layer: Path, facts: LayerMetadata, interpreter: str) -> None:
    """Write it; `interpreter` is the store path of the interpreter's object."""
    layout = facts.layout
    described = {
        "python": layout.program,
        "py_version": facts.python,
        "base_python": f"../{interpreter}/{layout.interpreter}",
        "site_dir": layout.site,
        "pylib_dirs": [],
        "dynlib_dirs": [],
    }
    if facts.kind == Kind.APPLICATION and facts.launch_module is not None:
        described["launch_module"] = facts.launch_module
    (layer / METADATA).parent.mkdir(parents=True)
    write_file(layer / METADATA, (json.dumps(described, indent=2, sort_keys=True) + "\n").encode(), durable=False)
