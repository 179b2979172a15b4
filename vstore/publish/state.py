"""What an output folder says of itself: the metadata files, as venvstacks names them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vstore.digest import hash_bytes
from vstore.errors import UsageError
from vstore.fs.atomic import write_file
from vstore.fs.filelock import lock_file
from vstore.objects import Kind
from vstore.publish.filesystem import sweep
from vstore.publish.model import LAYER_KINDS, OTHER_KINDS, Record
from vstore.store import Store

FORMAT = 1
_FOLDER = "__venvstacks__"


@contextmanager
def claimed(store: Store, output: Path) -> Iterator[Path]:
    """The output folder, made if it is not there, for this process alone (among those that use this store)."""
    place = output.expanduser().absolute()
    root = Path(os.path.realpath(store.layout.root))
    if Path(os.path.realpath(place)).is_relative_to(root):
        raise UsageError(f"the output folder is inside the store: {place}")
    place.mkdir(parents=True, exist_ok=True)
    name = hash_bytes("output 1", os.fsencode(os.path.realpath(place))).short
    with lock_file(store.layout.locks / f"output-{name}", blocking=False):
        sweep(place)
        yield place


class State:
    """The metadata files of an output folder; `tag` is the platform where names are tagged, else empty."""

    def __init__(self, output: Path, tag: str = "") -> None:
        self._suffix = f"-{tag}.json" if tag else ".json"
        self._folder = output / _FOLDER

    @property
    def manifest(self) -> Path:
        return self._folder / f"venvstacks{self._suffix}"

    def record_file(self, stem: str) -> Path:
        return self._folder / "env_metadata" / f"{stem}{self._suffix}"

    def record(self, stem: str) -> Record | None:
        """What an earlier run wrote of one member; None if it wrote nothing that can be read."""
        return _read(self.record_file(stem))

    def forget(self, stem: str) -> None:
        """Before what it describes is replaced: a record that is there is always true."""
        self.record_file(stem).unlink(missing_ok=True)

    def write(self, stem: str, record: Record) -> None:
        if self.record(stem) != record:
            self.record_file(stem).parent.mkdir(parents=True, exist_ok=True)
            write_file(self.record_file(stem), _text(record))

    def listed(self) -> dict[Kind, list[Record]]:
        """The records of the combined manifest, by kind; none where there is no such file."""
        document = _read(self.manifest) or {}
        layers, own = document.get("layers"), document.get("vstore")
        found: dict[Kind, list[Record]] = {}
        for kinds, tables in ((LAYER_KINDS, layers), (OTHER_KINDS, own)):
            for kind, key in kinds.items():
                rows = tables.get(key) if isinstance(tables, dict) else None
                found[kind] = [row for row in rows or () if isinstance(row, dict)] if isinstance(rows, list) else []
        return found

    def write_manifest(self, document: Mapping[str, object]) -> None:
        if _read(self.manifest) != document:
            self.manifest.parent.mkdir(parents=True, exist_ok=True)
            write_file(self.manifest, _text(document))


def combined(records: Iterable[tuple[Kind, Record]], earlier: Mapping[Kind, Sequence[Record]]) -> dict[str, Any]:
    """The combined manifest: these records, and those of earlier runs that none of these replaces, in order."""
    found: dict[Kind, dict[object, Record]] = {
        kind: {row.get("layer_name"): row for row in earlier.get(kind, ())} for kind in (*LAYER_KINDS, *OTHER_KINDS)
    }
    for kind, record in records:
        found[kind][record["layer_name"]] = record
    own = {key: list(found[kind].values()) for kind, key in OTHER_KINDS.items()}
    return {
        "layers": {key: list(found[kind].values()) for kind, key in LAYER_KINDS.items()},
        "vstore": {"format": FORMAT, **own},
    }


def all_records(document: Mapping[str, Any]) -> list[Record]:
    """Every record of a combined manifest."""
    tables = (document["layers"], document["vstore"])
    return [record for table in tables for rows in table.values() if isinstance(rows, list) for record in rows]


def _text(document: object) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
