"""Specs: loading one, its layers and their platforms; writing a new one.

Example::

    from pathlib import Path
    from vstore.api import specs

    for layer in specs.load(specs.find_spec(Path("spec.toml"))).layers:
        print(layer.env_name, layer.requirements)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vstore.errors import UsageError
from vstore.spec import Layer, Spec, find_spec, load, specs_in
from vstore.target import Target

SCHEMA_FILE = "vstore.schema.json"

__all__ = ["SCHEMA_FILE", "Layer", "Spec", "Target", "find_spec", "load", "spec_schema", "specs_in", "write_template"]


def spec_schema() -> dict[str, object]:
    """Return the JSON schema (draft 7) of a spec, for editors."""
    from vstore.spec import schema

    return schema.spec_schema()


def write_template(spec: Path, text: str, beside: Mapping[str, str], *, store: Path) -> None:
    """Write a new spec, its schema, and the files beside it that do not exist yet. Its folder is made if needed.

    The first line of the spec names the schema, by which editors check and complete it.

    Raises UsageError if the spec exists, or the folder is in the store.
    """
    import json

    from vstore.fs.place import check_output_folder, create_file

    if os.path.lexists(spec):
        raise UsageError(
            f"the spec exists already: {spec}", hint="`vstore show` shows it; remove it first, or give another folder"
        )
    check_output_folder(spec.parent, store=store)
    spec.parent.mkdir(parents=True, exist_ok=True)
    create_file(spec, f"#:schema ./{SCHEMA_FILE}\n{text}".encode())
    schema = json.dumps(spec_schema(), indent=2) + "\n"
    for name, content in {**beside, SCHEMA_FILE: schema}.items():
        if not os.path.lexists(spec.parent / name):
            create_file(spec.parent / name, content.encode())
