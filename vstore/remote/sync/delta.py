"""Deltas: patches that make the changed files of a newer object from the files of an older one.

A delta consists of patches only. Unchanged files come from the older object, and large files that no patch makes
smaller from ranges of the archive, as in any fetch: a patched file is one more local file. Format::

    "vstore-delta-2\\n"  u32 length  index  patches

The index is canonical JSON: a list of ``old`` and ``new`` (BLAKE3 of the files; zeros without an old file),
``old_at`` and ``old_bytes`` (the part of the old file), ``size_bytes`` and ``patch_bytes``. The patches (of
HDiffPatch, with zstd inside) follow in this order. Patches with the same ``new`` make one window of it after the
other, so that larger files take no more memory. Needs the extra ``delta``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO

from vstore.cancel import CancelToken
from vstore.digest import canonical_json, from_hex, parse_json
from vstore.errors import CacheError
from vstore.extras import require_extra
from vstore.fs import zstd
from vstore.fs.disk import free_bytes
from vstore.fs.trees.manifest import EntryKind, Manifest
from vstore.fs.trees.scan import hash_file
from vstore.remote.records.encoding import Fields
from vstore.remote.records.model import DeltaRecord
from vstore.remote.sync.delta_base import match_files
from vstore.values import frozen

_MAGIC = b"vstore-delta-2\n"
_WINDOW_BYTES = 32 << 20  # of a new file: making a patch takes some seven bytes of memory per byte
_MARGIN_BYTES = 16 << 20  # of the old file, before and after the window's own place
_PART_BYTES = _WINDOW_BYTES + 2 * _MARGIN_BYTES  # of an old file, at most
_MEMORY_BYTES = 256 << 20  # of address space, beside Python and its libraries: the largest window takes 160 MiB
_MAX_PATCHES = 60_000
_MAX_INDEX_BYTES = 16 << 20  # 250 for each patch
_MAX_VALUES = 7 * _MAX_PATCHES + 1  # in the index
_SECONDS = 120
_LARGE_BYTES = 64 << 10  # a smaller file is always patched: fetching it would cost its whole frame
_MAX_RATIO = 0.7  # of a large file's patch to its compressed size; a larger patch is dropped

NO_FILE = bytes(32)  # the digest of the old file where there is none

# Runs as a process of its own with limits, because decoders of patches have had holes. Each line of its input is a
# JSON list: the old file or null, offset and length of its part, offset and length of the patch in the delta, the new
# file, and the number of bytes appended to it.
_APPLY = """
import json, os, resource, sys
import hdiffpatch
delta, memory, seconds, largest = sys.argv[1], *map(int, sys.argv[2:])
if os.path.exists("/proc/self/statm"):
    with open("/proc/self/statm") as file:
        memory += int(file.read().split()[0]) * resource.getpagesize()
else:
    memory += 512 << 20
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
with open(delta, "rb") as patches:
    for line in sys.stdin:
        old, start, count, at, length, new, size = json.loads(line)
        part = b""
        if old:
            with open(old, "rb") as file:
                file.seek(start)
                part = file.read(count)
        patches.seek(at)
        made = hdiffpatch.apply(part, patches.read(length))
        if len(made) != size:
            sys.exit("another size")
        with open(new, "ab") as file:
            file.write(made)
        del part, made
"""


@frozen
class Patch:
    """The patch for one window of a new file, from a part of an old one. `at` is its offset in the delta."""

    old: bytes
    new: bytes
    old_at: int
    old_bytes: int
    size_bytes: int
    patch_bytes: int
    at: int


def make_delta(old: Path, old_manifest: Manifest, new: Path, new_manifest: Manifest) -> bytes | None:
    """Return the delta between two trees; None if no patch is worth it. Raises UsageError without the extra."""
    require_extra("delta", "deltas")
    import hdiffpatch

    index: list[Patch] = []
    patches: list[bytes] = []
    for before, entry in match_files(old_manifest, new_manifest):
        source = (old / os.fsdecode(before.path)) if before else None
        found, size, plain = [], 0, 0
        for start, part, content in _windows(
            source, new / os.fsdecode(entry.path), before.size if before else 0, entry.size
        ):
            patch = hdiffpatch.diff(part, content, hdiffpatch.COMPRESSION_ZSTD, validate=False)
            found.append((start, len(part), len(content), patch))
            size += len(patch)
            plain += len(zstd.compress(content, 3)) if entry.size >= _LARGE_BYTES else 0
        if entry.size >= _LARGE_BYTES and size > _MAX_RATIO * plain:
            continue
        if len(index) + len(found) > _MAX_PATCHES:
            break
        from_file = before.digest if before else NO_FILE
        for start, count, made, patch in found:
            sizes = {"old_at": start, "old_bytes": count, "size_bytes": made, "patch_bytes": len(patch)}
            index.append(Patch(old=from_file, new=entry.digest, **sizes, at=0))
            patches.append(patch)
    if not index:
        return None
    text = _encode_index(index)
    return b"".join((_MAGIC, len(text).to_bytes(4, "big"), text, *patches))


def _encode_index(patches: Iterable[Patch]) -> bytes:
    """Return the bytes of an index. The offsets of the patches follow from their order and sizes."""
    return canonical_json(
        [
            {
                "old": one.old.hex(),
                "new": one.new.hex(),
                "old_at": one.old_at,
                "old_bytes": one.old_bytes,
                "size_bytes": one.size_bytes,
                "patch_bytes": one.patch_bytes,
            }
            for one in patches
        ]
    )


def _windows(old: Path | None, new: Path, old_size: int, new_size: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield for each window of the new file: the offset of the old part, the old part, the window."""
    with new.open("rb") as file:
        for at in range(0, max(new_size, 1), _WINDOW_BYTES):
            content = file.read(_WINDOW_BYTES)
            if old is None:
                yield 0, b"", content
                continue
            start = max(at * old_size // max(new_size, 1) - _MARGIN_BYTES, 0)
            end = (at + len(content)) * old_size // max(new_size, 1) + _MARGIN_BYTES
            with old.open("rb") as source:
                source.seek(start)
                yield start, source.read(min(end - start, _PART_BYTES)), content


def read_patches(delta: BinaryIO) -> list[Patch]:
    """Return the patches of a delta. Raises CacheError if it is malformed."""
    magic, length = delta.read(len(_MAGIC)), int.from_bytes(delta.read(4), "big")
    try:
        if magic != _MAGIC:
            raise ValueError("not of version 2")
        if length > _MAX_INDEX_BYTES:
            raise ValueError("its index is too large")
        text, found, at = delta.read(length), list[Patch](), len(_MAGIC) + 4 + length
        for one in _listed(parse_json(text, max_values=_MAX_VALUES)):
            fields = Fields(one, "delta")
            patch = Patch(
                old=fields.parsed("old", from_hex),
                new=fields.parsed("new", from_hex),
                old_at=fields.size("old_at"),
                old_bytes=fields.size("old_bytes"),
                size_bytes=fields.size("size_bytes"),
                patch_bytes=fields.size("patch_bytes"),
                at=at,
            )
            if len(patch.old) != 32 or len(patch.new) != 32:
                raise ValueError("a malformed digest")
            if patch.size_bytes > _WINDOW_BYTES or patch.old_bytes > _PART_BYTES:
                raise ValueError("a window is too large")
            found.append(patch)
            at += patch.patch_bytes
        if at != delta.seek(0, os.SEEK_END):
            raise ValueError("the length does not match")
        if _encode_index(found) != text:
            raise ValueError("its index is not in the form that vstore writes")
    except ValueError as error:
        raise CacheError(f"malformed delta: {error}") from error
    return found


def _listed(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError("its index is not a list")
    return value


def apply_delta(
    delta: Path,
    record: DeltaRecord,
    find: Callable[[bytes], Path | None],
    expected: Manifest,
    folder: Path,
    cancel: CancelToken,
) -> dict[bytes, Path]:
    """Make files in `folder`; return them by digest, each verified. `find` gives the old files.

    Sizes are those of the expected tree, never those that the delta states. Raises Cancelled, and CacheError for a bad
    delta.
    """
    with delta.open("rb") as content:
        if file_digest(content, "sha256").hexdigest() != record.sha256:
            raise CacheError(f"the delta of {record.new} is damaged")
        content.seek(0)
        index = read_patches(content)
    sizes = {entry.digest: entry.size for entry in expected.entries if entry.kind == EntryKind.FILE}
    windows: dict[bytes, list[Patch]] = {}
    for patch in index:
        windows.setdefault(patch.new, []).append(patch)
    jobs, made = [], {}
    for number, (digest, patches) in enumerate(windows.items()):
        sources = [find(patch.old) for patch in patches]
        missing = any(source is None and patch.old != NO_FILE for source, patch in zip(sources, patches, strict=True))
        if digest not in sizes or missing:
            continue
        if sum(patch.size_bytes for patch in patches) != sizes[digest]:
            raise CacheError(f"the delta of {record.new} states a wrong size")
        made[digest] = folder / f"{number}"
        for source, one in zip(sources, patches, strict=True):
            part = (str(source) if source else None, one.old_at, one.old_bytes)
            jobs.append(json.dumps([*part, one.at, one.patch_bytes, str(made[digest]), one.size_bytes]) + "\n")
    if sum(sizes[digest] for digest in made) > free_bytes(folder):
        raise CacheError(f"the delta of {record.new} needs more space than the disk has free")
    _run(delta, record, "".join(jobs), max((sizes[digest] for digest in made), default=0), cancel)
    for digest, file in made.items():
        if hash_file(file) != digest:
            raise CacheError(f"the delta of {record.new} makes another file than it states")
    return made


def _run(delta: Path, record: DeltaRecord, jobs: str, largest: int, cancel: CancelToken) -> None:
    """Apply the patches in another process."""
    limits = [str(_MEMORY_BYTES), str(_SECONDS), str(largest)]
    command = [sys.executable, "-I", "-X", "utf8", "-c", _APPLY, str(delta), *limits]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe) as process,
        cancel.calling(process.kill),
    ):
        try:
            output = process.communicate(jobs.encode(), timeout=2 * _SECONDS)[1]
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise CacheError(f"the delta of {record.new} takes too long") from error
    if process.returncode:
        cancel.check()
        last = output.decode(errors="replace").strip().rpartition("\n")[2]
        raise CacheError(f"the delta of {record.new} cannot be applied: {last or process.returncode}")
