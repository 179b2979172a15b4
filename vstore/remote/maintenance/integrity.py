"""Compare the archives, deltas and SBOMs of a cache with their records: for `push` and `cache verify`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path

from vstore.archive import FOOTER_BYTES, footer_digest, read_index, verify_archive
from vstore.errors import ArchiveError, CacheError
from vstore.fs.trees.manifest import EntryKind, Manifest
from vstore.objects import StorePath
from vstore.remote.records.blob import Blob
from vstore.remote.records.cache import Cache
from vstore.remote.records.model import DeltaRecord, ObjectRecord, SbomRecord
from vstore.remote.sync.delta import NO_FILE, read_patches
from vstore.remote.sync.reader import RemoteReader
from vstore.remote.transport.protocol import TransportError, UnreadableFileError

FILE_NAME = "file"  # of a download
_SMALL_BYTES = 4 << 20
_LARGE, _SMALL = threading.Lock(), threading.BoundedSemaphore(4)  # archives at the same time: they take memory
Manifests = Callable[[StorePath], Manifest | None]  # None for an object that is not at hand


def quick_archive_fault(cache: Cache, record: ObjectRecord) -> str | None:
    """Compare the length and the last bytes, which contain the index's digest; return the fault, None without one."""
    archive, size = cache.file(record), record.archive.size_bytes
    if fault := _size_fault(archive, size):
        return fault
    found = archive.get_ranges([(max(size - FOOTER_BYTES, 0), size)])
    if found is None:
        return "is missing"
    if footer_digest(bytes(found[0])) != record.archive.index_digest:
        return "does not end with the index that its record states"
    return None


def archive_fault(cache: Cache, record: ObjectRecord, *, contents: bool) -> str | None:
    """Compare an archive's index, with `contents` every byte; return the fault, None without one.

    Raises TransportError.
    """
    if fault := _size_fault(cache.file(record), record.archive.size_bytes):
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
    reader = RemoteReader(cache, cache.file(record), stated.size_bytes)
    index = read_index(reader)
    manifest = index.manifest
    if index.digest != stated.index_digest:
        return "contains another index than its record states"
    if manifest.digest != record.digest or index.name != str(record.path):
        return "contains another tree"
    if manifest.size_bytes != record.size_bytes:
        return f"contains {manifest.size_bytes} bytes of files, its record states {record.size_bytes}"
    if tuple(sorted(manifest.references(record.path))) != record.references:
        return "contains a tree with other references than its record states"
    if contents:
        found = verify_archive(reader, index)
        if found.sha256 != stated.sha256:
            return "has another SHA-256 than its record states"
        if found.diff_id != stated.diff_id:
            return "contains a tar stream with another SHA-256 than its record states"
    return None


def file_fault(cache: Cache, record: DeltaRecord | SbomRecord, folder: Path | None) -> str | None:
    """Compare the length of a delta or an SBOM; return the fault, None without one.

    With a `folder`, an existing one, the file is downloaded there as `FILE_NAME`, and every byte is compared. Raises
    TransportError.
    """
    blob = cache.file(record)
    if (fault := _size_fault(blob, record.size_bytes)) or folder is None:
        return fault
    file = folder / FILE_NAME
    if blob.download(file, limit=record.size_bytes) is None:
        return "is missing"
    with file.open("rb") as content:
        if file_digest(content, "sha256").hexdigest() != record.sha256:
            return "has another SHA-256 than its record states"
    return None


def delta_fault(cache: Cache, record: DeltaRecord, folder: Path | None, manifests: Manifests) -> str | None:
    """Compare a delta's length; return the fault, None without one.

    With a `folder`, an existing one for the download, every byte is compared, and the files that it names are looked
    up in the objects at hand. Raises TransportError.
    """
    if (fault := file_fault(cache, record, folder)) or folder is None:
        return fault
    with (folder / FILE_NAME).open("rb") as content:
        try:
            patches = read_patches(content)
        except CacheError as error:
            return error.message
    for path, named in ((record.old, {patch.old for patch in patches}), (record.new, {patch.new for patch in patches})):
        manifest = manifests(path)
        if manifest is not None and named - {NO_FILE} - _files(manifest):
            return f"names a file that {path} does not have"
    return None


def _files(manifest: Manifest) -> set[bytes]:
    return {entry.digest for entry in manifest.entries if entry.kind == EntryKind.FILE}


def _size_fault(blob: Blob, size_bytes: int) -> str | None:
    try:
        found = blob.size_bytes()
    except UnreadableFileError as error:
        return f"cannot be read: {error.message.removeprefix(f'{blob.url}: ')}"
    if found is None:
        return "is missing"
    if found != size_bytes:
        return f"has {found} bytes, its record states {size_bytes}"
    return None
