"""The code of a project itself: the import packages in its folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vstore.documents import Fields


def find_packages(folder: Path, name: str, document: Fields) -> Iterator[Path]:
    """Return the folders and files of the import packages of a project that exist, one for each import name."""
    seen: set[str] = set()
    for place in _candidates(folder, name, document):
        if place.stem not in seen and place.exists():
            seen.add(place.stem)
            yield place


def _candidates(folder: Path, name: str, document: Fields) -> Iterator[Path]:
    tool = document.table("tool")
    for entry in tool.table("poetry").tables("packages"):
        yield folder / (entry.optional_text("from") or ".") / entry.text("include")
    wheel = tool.table("hatch").table("build").table("targets").table("wheel")
    for text in wheel.texts("packages"):
        yield folder / text
    module = re.sub(r"[-.]+", "_", name).lower()
    for top in (folder / "src", folder):
        yield from (top / module, top / f"{module}.py")
    if (folder / "src").is_dir():
        yield from sorted(one.parent for one in (folder / "src").glob("*/__init__.py"))
