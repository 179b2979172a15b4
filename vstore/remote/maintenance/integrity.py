"""Comparing the archives and deltas of a cache with what their records state, for `push` and `cache verify`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path

from vstore.archive import FOOTER_BYTES, check_whole, footer_digest, read_index
from vstore.errors import ArchiveError, CacheError
from vstore.fs.trees.manifest import EntryKind, Manifest
from vstore.objects import StorePath
from vstore.remote.records import layout
from vstore.remote.records.cache import Cache
from vstore.remote.records.model import DeltaRecord, ObjectRecord
from vstore.remote.sync.delta import NOTHING
from vstore.remote.sync.delta import read_index as read_delta_index
from vstore.remote.sync.reader import RemoteReader
from vstore.remote.transport.protocol import TransportError

_SMALL_BYTES = 4 << 20
_LARGE, _SMALL = threading.Lock(), threading.BoundedSemaphore(4)  # archives at a time: index and frames take memory
Manifests = Callable[[StorePath], Manifest | None]  # of the objects that are at hand


def quick_archive_fault(cache: Cache, record: ObjectRecord) -> str | None:
    """Return the difference in length and in the last bytes, which state the index's digest; None without one."""
    key, size = layout.archive_key(record.path), record.archive.size_bytes
    if fault := _size_fault(cache, key, size):
        return fault
    found = cache.transport.get_ranges(key, [(max(size - FOOTER_BYTES, 0), size)])
    if found is None:
        return "is missing"
    if footer_digest(bytes(found[0])) != record.archive.index_digest:
        return "does not end with the index that its record names"
    return None


def archive_fault(cache: Cache, record: ObjectRecord, *, contents: bool) -> str | None:
    """Return the difference between an archive and its record; None without one.

    The index is read, and with `contents` every byte. Raises TransportError.
    """
    if fault := _size_fault(cache, layout.archive_key(record.path), record.archive.size_bytes):
        return fault
    with _LARGE if record.archive.size_bytes > _SMALL_BYTES else _SMALL:
        try:
            return _content_fault(cache, record, contents)
        except TransportError:
            raise
        except (ArchiveError, CacheError) as error:
            return error.message.removeprefix("the archive ")


def _content_fault(cache: Cache, record: ObjectRecord, contents: bool) -> str | None:
    stated = record.archive
    reader = RemoteReader(cache, layout.archive_key(record.path), stated.size_bytes)
    index = read_index(reader)
    manifest = index.manifest
    if index.digest != stated.index_digest:
        return "holds another index than its record names"
    if manifest.digest != record.digest or index.name != str(record.path):
        return "holds another tree"
    if manifest.size_bytes != record.size_bytes:
        return f"holds {manifest.size_bytes} bytes of files, its record says {record.size_bytes}"
    if tuple(sorted(manifest.references(record.path))) != record.references:
        return "holds a tree with other references than its record names"
    if contents and check_whole(reader, index) != stated.sha256:
        return "has another SHA-256 than its record states"
    return None


def delta_fault(cache: Cache, record: DeltaRecord, folder: Path | None, manifests: Manifests) -> str | None:
    """Return the difference between a delta and its record; None without one.

    With a `folder`, which must exist, for the delta every byte is read, and the files that it names are looked for in
    the objects that are at hand. Raises TransportError.
    """
    key = layout.delta_key(record.new, record.old)
    if (fault := _size_fault(cache, key, record.size_bytes)) or folder is None:
        return fault
    file = folder / "delta"
    if cache.transport.download(key, file, limit=record.size_bytes) is None:
        return "is missing"
    with file.open("rb") as content:
        if file_digest(content, "sha256").hexdigest() != record.sha256:
            return "has another SHA-256 than its record states"
        content.seek(0)
        try:
            patches = read_delta_index(content)
        except CacheError as error:
            return error.message
    for path, named in ((record.old, {patch.old for patch in patches}), (record.new, {patch.new for patch in patches})):
        manifest = manifests(path)
        if manifest is not None and named - {NOTHING} - _files(manifest):
            return f"names a file that {path} does not have"
    return None


def _files(manifest: Manifest) -> set[bytes]:
    return {entry.digest for entry in manifest.entries if entry.kind == EntryKind.FILE}


def _size_fault(cache: Cache, key: str, size_bytes: int) -> str | None:
    stat = cache.transport.head(key)
    if stat is None:
        return "is missing"
    if stat.size_bytes != size_bytes:
        return f"has {stat.size_bytes} bytes, its record says {size_bytes}"
    return None
