"""The metadata files of an output folder, as venvstacks names them, and the lock of such a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vstore.fs.locking.filelock import lock_file
from vstore.fs.paths import absolute
from vstore.fs.place import check_output_folder, put_bytes, real_folder, recognise
from vstore.fs.scratch import sweep
from vstore.objects import Kind
from vstore.publish.earlier_outputs import read_json
from vstore.publish.records import CombinedManifest, MemberRecord, own_fields, parse_record, parse_tables
from vstore.store import Store

_FOLDER = "__venvstacks__"


@contextmanager
def lock_output_folder(store: Store, folder: Path) -> Iterator[Path]:
    """Make an output folder if needed, lock it, and yield its absolute path.

    The lock holds among the processes that use this store. Raises UsageError, or BusyError while it is locked.
    """
    place = absolute(folder)
    check_output_folder(place, store=store.layout.root)
    place.mkdir(parents=True, exist_ok=True)
    with lock_file(store.layout.locks.output(place), blocking=False):
        sweep(place)
        yield place


class MetadataFolder:
    """The metadata files in `output`. `tag` is the platform if it is part of their names, else empty."""

    def __init__(self, output: Path, tag: str = "") -> None:
        self._suffix = f"-{tag}.json" if tag else ".json"
        self._folder = output / _FOLDER
        self._records = self._folder / "env_metadata"
        self._manifest = self._folder / f"venvstacks{self._suffix}"

    def _record_file(self, label: str) -> Path:
        return self._records / f"{label}{self._suffix}"

    def check(self, labels: Iterable[str]) -> None:
        """Raise UsageError if files that vstore did not make are where the metadata of these members go."""
        for folder in (self._folder, self._records):
            real_folder(folder)
        recognise(self._manifest, self._is_ours)
        for label in labels:
            recognise(self._record_file(label), self._is_ours)

    def _is_ours(self, path: Path, _: os.stat_result) -> bool:
        """Whether a document has fields of vstore. A damaged record counts if the manifest lists it."""
        document = read_json(path) or {}
        if document.get("vstore"):
            return True
        listed = (own_fields(row).get("name") for rows in self.read_manifest().values() for row in rows)
        return path.name in {f"{name}{self._suffix}" for name in listed}

    def read_record(self, label: str) -> MemberRecord | None:
        """Return the record of a member that an earlier run wrote; None if there is none that can be read."""
        return parse_record(read_json(self._record_file(label)))

    def read_manifest(self) -> dict[Kind, list[MemberRecord]]:
        """Return the records of the combined manifest, by kind; empty lists if there is no manifest."""
        return parse_tables(read_json(self._manifest))

    def read_all(self) -> Iterator[MemberRecord]:
        """Yield all records of earlier runs: those of the manifest, and those of the record files."""
        yield from (row for rows in self.read_manifest().values() for row in rows)
        with suppress(OSError):
            for name in sorted(os.listdir(self._records)):
                record = parse_record(read_json(self._records / name)) if name.endswith(self._suffix) else None
                if record is not None:
                    yield record

    def remove_record(self, label: str) -> None:
        """Remove the record of a member that is about to be replaced, so that a record that exists is always true."""
        if recognise(self._record_file(label), self._is_ours).old is not None:
            self._record_file(label).unlink(missing_ok=True)

    def write_record(self, label: str, record: MemberRecord) -> None:
        """Write the record of a member, if it has changed."""
        self._write(self._record_file(label), record)

    def write_manifest(self, manifest: CombinedManifest) -> None:
        """Write the combined manifest, if it has changed."""
        self._write(self._manifest, manifest)

    def _write(self, path: Path, document: MemberRecord | CombinedManifest) -> None:
        if read_json(path) == document:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        put_bytes(text.encode(), recognise(path, self._is_ours))
