"""Deltas: patches that make the changed files of a newer object from those of an older one.

A delta holds patches only. Files that did not change come from the older object, large ones that no patch makes
smaller from the archive by range, as in any fetch; so whatever a patch gives is just one more donor. Format::

    "vstore-delta-1\\n"  u32 length  index  patches

The index is canonical JSON: a list of ``old`` and ``new`` (BLAKE3 of the files; zeros where there is no old one),
``size_bytes`` of the new one and ``patch_bytes``; the patches (HDiffPatch's, zstd inside) follow in this order.
Needs the extra ``delta``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from vstore.digest import canonical_json
from vstore.errors import CacheError, UsageError
from vstore.fs import zstd
from vstore.fs.tree import EntryKind, Manifest, hash_file
from vstore.remote.family import pairs
from vstore.remote.model import DeltaRecord

_MAGIC = b"vstore-delta-1\n"
_LARGEST_FILE = 1 << 30  # making a patch takes some seven bytes of memory per byte
_BASE_MEMORY = 512 << 20  # of a Python process with its libraries, as address space
_MOST_MEMORY = 4 << 30  # beside that, whatever a record says
_SECONDS = 120
_LARGE = 64 << 10  # smaller files are always in: one of them would cost the whole frame that it lies in
_WORTH = 0.7  # a patch larger than this part of the compressed file is left out

NOTHING = bytes(32)  # instead of the digest of an old file: the patch is from nothing

# Runs alone, with limits set on itself, as decoders of patches have had holes. Lines of the standard input: the old
# file or nothing, where the patch starts in the delta and how long it is, the new file and its size.
_APPLY = """
import resource, sys
import hdiffpatch
delta, memory, seconds, largest = sys.argv[1], *map(int, sys.argv[2:])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
with open(delta, "rb") as patches:
    for line in sys.stdin:
        old, at, length, new, size = line.rstrip("\\n").split("\\t")
        patches.seek(int(at))
        made = hdiffpatch.apply(open(old, "rb").read() if old else b"", patches.read(int(length)))
        if len(made) != int(size):
            sys.exit("another size")
        with open(new, "wb") as file:
            file.write(made)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One file from another; `at` is where its patch starts in the delta."""

    old: bytes
    new: bytes
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

    index, patches = [], []
    for was, entry in pairs(old_manifest, new_manifest):
        if max(was.size if was else 0, entry.size) > _LARGEST_FILE:
            continue
        source = (old / os.fsdecode(was.path)).read_bytes() if was else b""
        content = (new / os.fsdecode(entry.path)).read_bytes()
        patch = hdiffpatch.diff(source, content, hdiffpatch.COMPRESSION_ZSTD, validate=False)
        if entry.size >= _LARGE and len(patch) > _WORTH * len(zstd.compress(content, 3)):
            continue
        before = was.digest if was else NOTHING
        index.append(
            {"old": before.hex(), "new": entry.digest.hex(), "size_bytes": entry.size, "patch_bytes": len(patch)}
        )
        patches.append(patch)
    if not index:
        return None
    text = canonical_json(index)
    return b"".join((_MAGIC, len(text).to_bytes(4, "big"), text, *patches))


def needed_memory(delta: bytes, old_manifest: Manifest) -> int:
    """What applying the largest of its patches takes."""
    sizes = {entry.digest: entry.size for entry in old_manifest.entries if entry.kind == EntryKind.FILE}
    return max(sizes.get(one.old, 0) + 3 * one.size_bytes + 2 * one.patch_bytes for one in read_index(delta))


def read_index(delta: bytes) -> list[Patch]:
    """The patches in it. CacheError if it is malformed."""
    start = len(_MAGIC) + 4
    end = start + int.from_bytes(delta[len(_MAGIC) : start], "big")
    try:
        if not delta.startswith(_MAGIC):
            raise ValueError("not of version 1")
        found, at = [], end
        for one in json.loads(delta[start:end]):
            old, new = bytes.fromhex(one["old"]), bytes.fromhex(one["new"])
            size, length = int(one["size_bytes"]), int(one["patch_bytes"])
            if len(old) != 32 or len(new) != 32 or size < 0 or length < 0:
                raise ValueError("a size or a digest is none")
            found.append(Patch(old=old, new=new, size_bytes=size, patch_bytes=length, at=at))
            at += length
        if at != len(delta):
            raise ValueError("its length is another")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CacheError(f"malformed delta: {error}") from error
    return found


def apply_delta(
    delta: bytes, record: DeltaRecord, find: Callable[[bytes], Path | None], expected: Manifest, folder: Path
) -> dict[bytes, Path]:
    """Make the files that can be made in `folder`; returns them by digest, each verified.

    Sizes are those of the expected tree, never what the delta says. CacheError for anything else.
    """
    if len(delta) != record.size_bytes or sha256(delta).hexdigest() != record.sha256:
        raise CacheError(f"the delta of {record.new} is damaged")
    sizes = {entry.digest: entry.size for entry in expected.entries if entry.kind == EntryKind.FILE}
    jobs, made = [], {}
    for number, patch in enumerate(read_index(delta)):
        source, size = find(patch.old), sizes.get(patch.new)
        if size is None or (source is None and patch.old != NOTHING):
            continue
        made[patch.new] = folder / f"{number}"
        jobs.append(f"{source or ''}\t{patch.at}\t{patch.patch_bytes}\t{made[patch.new]}\t{size}\n")
    _run(delta, record, folder, "".join(jobs), max((sizes[digest] for digest in made), default=0))
    for digest, file in made.items():
        if hash_file(file) != digest:
            raise CacheError(f"the delta of {record.new} gives another file than it says")
    return made


def _run(delta: bytes, record: DeltaRecord, folder: Path, jobs: str, largest: int) -> None:
    """Apply the patches in a process of its own."""
    file = folder / "delta"
    file.write_bytes(delta)
    memory = _BASE_MEMORY + min(record.memory_bytes, _MOST_MEMORY)
    arguments = [str(file), str(memory), str(_SECONDS), str(largest)]
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _APPLY, *arguments],
            input=jobs.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=2 * _SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise CacheError(f"the delta of {record.new} takes too long") from error
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise CacheError(f"the delta of {record.new} cannot be applied: {last or done.returncode}")
