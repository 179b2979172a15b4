"""Deltas: patches that make the changed files of a newer object from those of an older one.

A delta holds patches only. Files that did not change come from the older object, large ones that no patch makes
smaller from the archive by range, as in any fetch; so whatever a patch gives is just one more donor. Format::

    "vstore-delta-2\\n"  u32 length  index  patches

The index is canonical JSON: a list of ``old`` and ``new`` (BLAKE3 of the files; zeros where there is no old one),
``old_at`` and ``old_bytes`` (which part of the old file), ``size_bytes`` and ``patch_bytes``; the patches
(HDiffPatch's, zstd inside) follow in this order. Patches with the same ``new`` give one window of it after the other,
so that neither making nor applying takes more memory for larger files. Needs the extra ``delta``.
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
from vstore.errors import CacheError, UsageError
from vstore.fs import zstd
from vstore.fs.disk import free_bytes
from vstore.fs.trees.manifest import EntryKind, Manifest
from vstore.fs.trees.scan import hash_file
from vstore.remote.records.encoding import Fields
from vstore.remote.records.model import DeltaRecord
from vstore.remote.sync.delta_base import pairs
from vstore.values import frozen

_MAGIC = b"vstore-delta-2\n"
_WINDOW_BYTES = 32 << 20  # of a new file: making a patch takes some seven bytes of memory per byte
_MARGIN_BYTES = 16 << 20  # how much further than the window's own place the old file is looked at, on either side
_PART_BYTES = _WINDOW_BYTES + 2 * _MARGIN_BYTES  # of an old file, at most
_MEMORY = 256 << 20  # address space beside Python with its libraries: the largest window takes 160 MiB
_MOST_PATCHES = 60_000  # in a delta
_INDEX_BYTES = 16 << 20  # of its index, at most: 250 for each patch
_MOST_VALUES = 7 * _MOST_PATCHES + 1  # in it
_SECONDS = 120
_LARGE = 64 << 10  # smaller files are always in: one of them would cost the whole frame that it lies in
_WORTH = 0.7  # a patch larger than this part of the compressed file is left out

NOTHING = bytes(32)  # instead of the digest of an old file: the patch is from nothing

# Runs alone, with limits set on itself, as decoders of patches have had holes. Lines of the standard input, each a JSON
# list: the old file or nothing, where its part starts and how long it is, the same of the patch in the delta, the new
# file and how much is added to it.
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
    """A window of a file from a part of another; `at` is where its patch starts in the delta."""

    old: bytes
    new: bytes
    old_at: int
    old_bytes: int
    size_bytes: int
    patch_bytes: int
    at: int


def available() -> bool:
    """Whether the extra ``delta`` is installed."""
    try:
        import hdiffpatch  # noqa: F401
    except ImportError:
        return False
    return True


def make_delta(old: Path, old_manifest: Manifest, new: Path, new_manifest: Manifest) -> bytes | None:
    """The delta between two trees; None if no patch is worth it. UsageError without the extra."""
    if not available():
        raise UsageError("making deltas needs one package more", hint="install vstore with its extra: vstore[delta]")
    import hdiffpatch

    index: list[Patch] = []
    patches: list[bytes] = []
    for was, entry in pairs(old_manifest, new_manifest):
        source = (old / os.fsdecode(was.path)) if was else None
        found, size, plain = [], 0, 0
        for start, part, content in _windows(source, new / os.fsdecode(entry.path), was.size if was else 0, entry.size):
            patch = hdiffpatch.diff(part, content, hdiffpatch.COMPRESSION_ZSTD, validate=False)
            found.append((start, len(part), len(content), patch))
            size += len(patch)
            plain += len(zstd.compress(content, 3)) if entry.size >= _LARGE else 0
        if entry.size >= _LARGE and size > _WORTH * plain:
            continue
        if len(index) + len(found) > _MOST_PATCHES:
            break
        from_file = was.digest if was else NOTHING
        for start, count, made, patch in found:
            sizes = {"old_at": start, "old_bytes": count, "size_bytes": made, "patch_bytes": len(patch)}
            index.append(Patch(old=from_file, new=entry.digest, **sizes, at=0))
            patches.append(patch)
    if not index:
        return None
    text = _encode_index(index)
    return b"".join((_MAGIC, len(text).to_bytes(4, "big"), text, *patches))


def _encode_index(patches: Iterable[Patch]) -> bytes:
    """Return the one text of an index; where the patches are follows from their order and sizes."""
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
    """The new file bit by bit, each with where the part of the old file starts that is like it, and that part."""
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


def read_index(delta: BinaryIO) -> list[Patch]:
    """The patches in it. CacheError if it is malformed."""
    magic, length = delta.read(len(_MAGIC)), int.from_bytes(delta.read(4), "big")
    try:
        if magic != _MAGIC:
            raise ValueError("not of version 2")
        if length > _INDEX_BYTES:
            raise ValueError("its index is larger than any may be")
        text, found, at = delta.read(length), list[Patch](), len(_MAGIC) + 4 + length
        for one in _listed(parse_json(text, max_values=_MOST_VALUES)):
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
                raise ValueError("a digest is none")
            if patch.size_bytes > _WINDOW_BYTES or patch.old_bytes > _PART_BYTES:
                raise ValueError("a window is larger than any may be")
            found.append(patch)
            at += patch.patch_bytes
        if at != delta.seek(0, os.SEEK_END):
            raise ValueError("the length does not match")
        if _encode_index(found) != text:
            raise ValueError("its index is not as vstore writes it")
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
    """Make the files that can be made in `folder`; returns them by digest, each verified.

    Sizes are those of the expected tree, never what the delta says. Raises Cancelled, CacheError for anything else.
    """
    with delta.open("rb") as content:
        if file_digest(content, "sha256").hexdigest() != record.sha256:
            raise CacheError(f"the delta of {record.new} is damaged")
        content.seek(0)
        index = read_index(content)
    sizes = {entry.digest: entry.size for entry in expected.entries if entry.kind == EntryKind.FILE}
    windows: dict[bytes, list[Patch]] = {}
    for patch in index:
        windows.setdefault(patch.new, []).append(patch)
    jobs, made = [], {}
    for number, (digest, patches) in enumerate(windows.items()):
        sources = [find(patch.old) for patch in patches]
        lacking = any(source is None and patch.old != NOTHING for source, patch in zip(sources, patches, strict=True))
        if digest not in sizes or lacking:
            continue
        if sum(patch.size_bytes for patch in patches) != sizes[digest]:
            raise CacheError(f"the delta of {record.new} gives a file of another size than it says")
        made[digest] = folder / f"{number}"
        for source, one in zip(sources, patches, strict=True):
            part = (str(source) if source else None, one.old_at, one.old_bytes)
            jobs.append(json.dumps([*part, one.at, one.patch_bytes, str(made[digest]), one.size_bytes]) + "\n")
    if sum(sizes[digest] for digest in made) > free_bytes(folder):
        raise CacheError(f"the delta of {record.new} gives more than the disk has free")
    _run(delta, record, "".join(jobs), max((sizes[digest] for digest in made), default=0), cancel)
    for digest, file in made.items():
        if hash_file(file) != digest:
            raise CacheError(f"the delta of {record.new} gives another file than it says")
    return made


def _run(delta: Path, record: DeltaRecord, jobs: str, largest: int, cancel: CancelToken) -> None:
    """Apply the patches in a process of its own."""
    limits = [str(_MEMORY), str(_SECONDS), str(largest)]
    command = [sys.executable, "-I", "-X", "utf8", "-c", _APPLY, str(delta), *limits]
    nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=nothing, stderr=pipe) as process,
        cancel.calling(process.kill),
    ):
        try:
            said = process.communicate(jobs.encode(), timeout=2 * _SECONDS)[1]
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise CacheError(f"the delta of {record.new} takes too long") from error
    if process.returncode:
        cancel.check()
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise CacheError(f"the delta of {record.new} cannot be applied: {last or process.returncode}")
