"""Reading a script with its dependencies in a comment (PEP 723)."""

from __future__ import annotations

import re
from pathlib import Path

from vstore.errors import UsageError
from vstore.migration.documents import read_text, read_toml, toml_document
from vstore.migration.formats.uv_lock import UvLock, lock_of_script
from vstore.migration.formats.uv_settings import UvSettings
from vstore.migration.indexes import IndexSettings
from vstore.migration.model import Choice, OwnCode, SourceProject
from vstore.migration.requirement import CollectedRequirements

_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")  # as in PEP 723


def read_script(path: Path, choice: Choice) -> SourceProject:
    """Read a script, with the lock beside it if there is one. Raises UsageError."""
    blocks = [match for match in _BLOCK.finditer(read_text(path)) if match["type"] == "script"]
    if len(blocks) != 1:
        problem = "has no block of dependencies" if not blocks else "has several blocks of dependencies"
        raise UsageError(f"{path} {problem} (`# /// script`, PEP 723)", hint="`uv add --script` writes one")
    lines = blocks[0]["content"].splitlines()
    text = "\n".join(line[2:] if line.startswith("# ") else line[1:] for line in lines)
    document = toml_document(text.encode(), path)
    collected, indexes = CollectedRequirements(), IndexSettings()
    uv = UvSettings(document.table("tool").table("uv"), collected, indexes, choice)
    uv.extend(document.texts("dependencies"))
    lock_file = lock_of_script(path)
    lock = UvLock(read_toml(lock_file), choice, name="") if lock_file else None
    if lock is not None:
        lock.add_to(collected, indexes)
    return SourceProject(
        name=path.stem,
        format=path.name + (f", {lock_file.name}" if lock_file else ""),
        requirements=tuple(collected.requirements),
        pins=lock.pins() if lock else (),
        python=document.optional_text("requires-python") or "",
        settings=indexes.settings(),
        code=OwnCode(script=path),
        left_out=(*collected.left_out, *indexes.left_out),
    )
