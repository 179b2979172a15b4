"""What an output folder says of itself: the metadata files, as venvstacks names them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vstore.digest import hash_bytes
from vstore.fs.locking.filelock import lock_file
from vstore.fs.paths import absolute
from vstore.fs.place import check_output_folder, put_bytes, real_folder, recognise
from vstore.fs.scratch import sweep
from vstore.objects import Kind
from vstore.publish.marks import read_json
from vstore.publish.model import LAYER_KINDS, OTHER_KINDS, Record, own
from vstore.store import Store

FORMAT = 1
_FOLDER = "__venvstacks__"


@contextmanager
def claimed(store: Store, output: Path) -> Iterator[Path]:
    """The output folder, made if it is not there, for this process alone (among those that use this store)."""
    place = absolute(output)
    check_output_folder(place, store=store.layout.root)
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
        self._records = self._folder / "env_metadata"

    @property
    def manifest(self) -> Path:
        return self._folder / f"venvstacks{self._suffix}"

    def record_file(self, stem: str) -> Path:
        return self._records / f"{stem}{self._suffix}"

    def record(self, stem: str) -> Record | None:
        """What an earlier run wrote of one member; None if it wrote nothing that can be read."""
        return read_json(self.record_file(stem))

    def check(self, stems: Iterable[str]) -> None:
        """Raise UsageError if something that is not ours is where the metadata of these members go."""
        for folder in (self._folder, self._records):
            real_folder(folder)
        recognise(self.manifest, self._is_ours)
        for stem in stems:
            recognise(self.record_file(stem), self._is_ours)

    def _is_ours(self, path: Path, _: os.stat_result) -> bool:
        """A document with our part in it; a record that is damaged counts when the manifest lists it."""
        listed = (own(row).get("name") for rows in self.listed().values() for row in rows)
        return bool(own(read_json(path) or {})) or path.name in {f"{name}{self._suffix}" for name in listed}

    def rows(self) -> Iterator[Record]:
        """All that earlier runs recorded, in the combined manifest and in the records."""
        yield from (row for rows in self.listed().values() for row in rows)
        with suppress(OSError):
            for name in sorted(os.listdir(self._records)):
                if name.endswith(self._suffix) and (row := read_json(self._records / name)):
                    yield row

    def forget(self, stem: str) -> None:
        """Before what it describes is replaced: a record that is there is always true."""
        if recognise(self.record_file(stem), self._is_ours).old is not None:
            self.record_file(stem).unlink(missing_ok=True)

    def write(self, stem: str, record: Record) -> None:
        if self.record(stem) != record:
            self._write(self.record_file(stem), record)

    def _write(self, path: Path, document: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        put_bytes(_text(document), recognise(path, self._is_ours))

    def listed(self) -> dict[Kind, list[Record]]:
        """The records of the combined manifest, by kind; none where there is no such file."""
        document = read_json(self.manifest) or {}
        layers, own = document.get("layers"), document.get("vstore")
        found: dict[Kind, list[Record]] = {}
        for kinds, tables in ((LAYER_KINDS, layers), (OTHER_KINDS, own)):
            for kind, key in kinds.items():
                rows = tables.get(key) if isinstance(tables, dict) else None
                found[kind] = [row for row in rows or () if isinstance(row, dict)] if isinstance(rows, list) else []
        return found

    def write_manifest(self, document: Mapping[str, object]) -> None:
        if read_json(self.manifest) != document:
            self._write(self.manifest, document)


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
