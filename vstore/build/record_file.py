"""RECORD files (PEP 376, PEP 427) with paths relative to the layer. Their content is untrusted."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import posixpath
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from vstore.errors import BuildError


class RecordEntry(NamedTuple):
    """One file of a RECORD: its path in the layer, ``sha256=…`` or empty, its size in bytes or empty."""

    path: str
    digest: str
    size: str


def record_entry(path: str, data: bytes) -> RecordEntry:
    """Return the entry of a file with this content."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return RecordEntry(path, f"sha256={digest}", str(len(data)))


def resolve_path(entry: str, site_packages: str) -> str:
    """Return the path of a RECORD entry in the layer. Raises BuildError if it is absolute or leaves the layer."""
    path = posixpath.normpath(posixpath.join(site_packages, entry))
    unsafe = not entry or entry.startswith("/") or path == "." or path.split("/")[0] == ".."
    if unsafe or any(character in entry for character in "\\\0\n\r"):
        raise BuildError(f"refused path in RECORD: {entry!r}")
    return path


def read_record_file(layer: Path, dist_info: str) -> dict[str, RecordEntry]:
    """Return the entries of a RECORD by path in the layer, in the order of the file. Raises BuildError if malformed."""
    site_packages = posixpath.dirname(dist_info)
    try:
        text = (layer / dist_info / "RECORD").read_text("utf-8")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise BuildError(f"cannot read {dist_info}/RECORD: {error}") from error
    found: dict[str, RecordEntry] = {}
    for row in rows:
        entry, digest, size = (*row, "", "")[:3]
        path = resolve_path(entry, site_packages)
        found[path] = RecordEntry(path, digest, size)
    return found


def encode_record_file(entries: Iterable[RecordEntry], dist_info: str) -> bytes:
    """Return the text of a RECORD: sorted, with an entry for the RECORD itself."""
    site_packages, own = posixpath.dirname(dist_info), f"{dist_info}/RECORD"
    kept = [entry for entry in entries if entry.path != own] + [RecordEntry(own, "", "")]
    rows = sorted((posixpath.relpath(entry.path, site_packages), entry.digest, entry.size) for entry in kept)
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
