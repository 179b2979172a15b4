"""RECORD files (PEP 376, PEP 427) with paths relative to the layer; what they say is untrusted."""

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


class Line(NamedTuple):
    """One file: its path in the layer, ``sha256=…`` or nothing, its size or nothing."""

    path: str
    digest: str
    size: str


def describe(path: str, data: bytes) -> Line:
    """The line of a file with this content."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return Line(path, f"sha256={digest}", str(len(data)))


def resolve(entry: str, site: str) -> str:
    """The layer-relative path of a RECORD entry; BuildError if it is absolute or leaves the layer."""
    path = posixpath.normpath(posixpath.join(site, entry))
    unsafe = not entry or entry.startswith("/") or path == "." or path.split("/")[0] == ".."
    if unsafe or any(character in entry for character in "\\\0\n\r"):
        raise BuildError(f"refused path in RECORD: {entry!r}")
    return path


def read_record(layer: Path, info: str) -> dict[str, Line]:
    """The lines of ``<info>/RECORD`` by layer-relative path, in its order; BuildError if malformed."""
    site = posixpath.dirname(info)
    try:
        text = (layer / info / "RECORD").read_text("utf-8")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise BuildError(f"cannot read {info}/RECORD: {error}") from error
    found: dict[str, Line] = {}
    for row in rows:
        entry, digest, size = (*row, "", "")[:3]
        path = resolve(entry, site)
        found[path] = Line(path, digest, size)
    return found


def encode_record(lines: Iterable[Line], info: str) -> bytes:
    """The text of ``<info>/RECORD``, sorted, with its own line."""
    site, own = posixpath.dirname(info), f"{info}/RECORD"
    kept = [line for line in lines if line.path != own] + [Line(own, "", "")]
    rows = sorted((posixpath.relpath(line.path, site), line.digest, line.size) for line in kept)
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
