"""Encode and decode the index and the footer at the end of an archive (``docs/internals/archive.md``).

Numbers are big-endian, except zstd's own. After the frames of the tar stream::

    u32 0x184D2A56, u32 length, both little-endian    a skippable frame (RFC 8878) with
        the index, compressed                         as one zstd frame
        32 bytes digest, u64 its compressed length, u64 its length, "vstore-archive-1"   the footer, 64 bytes
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise

from vstore.archive.model import ArchiveIndex, FileOffset, Frame
from vstore.digest import Digest, hash_bytes
from vstore.errors import ArchiveError, StoreError
from vstore.fs import zstd
from vstore.fs.trees.manifest import Manifest
from vstore.fs.trees.validate import Limits

FOOTER_BYTES = 64
_FOOTER = struct.Struct(">32sQQ16s")
FOOTER_MAGIC = b"vstore-archive-1"
_SKIPPABLE = 0x184D2A56
_SKIPPABLE_HEAD = struct.Struct("<II")
_MAGIC = b"vstore-index-1\n"
_FRAME = struct.Struct(">QQ")
_OFFSET = struct.Struct(">IQ")
_MIN_FRAME_BYTES = 9  # RFC 8878: magic number, header, one block
_FRAME_MARGIN = 4096  # of a frame over incompressible content: headers of blocks, a checksum
_LEVEL = 9  # of the index itself: half of it is digests, which do not compress


def encode_index(
    name: str,
    manifest: Manifest,
    frames: Sequence[tuple[int, int]],
    offsets: Sequence[FileOffset],
    limits: Limits | None = None,
) -> tuple[bytes, Digest]:
    """Return the skippable frame that ends an archive, and the index's digest.

    `frames` are pairs of lengths: compressed, content. Raises ArchiveError if the index exceeds the limits of readers.
    """
    top = os.fsencode(name)
    tree = manifest.encoded
    parts = [_MAGIC, len(top).to_bytes(4, "big"), top, len(tree).to_bytes(8, "big"), tree]
    parts += (len(frames).to_bytes(4, "big"), *(_FRAME.pack(*frame) for frame in frames))
    parts += (len(offsets).to_bytes(4, "big"), *(_OFFSET.pack(*offset) for offset in offsets))
    content = b"".join(parts)
    stored = zstd.compress(content, _LEVEL)
    _check_length(len(stored), len(content), limits or Limits())
    digest = _digest(stored)
    footer = _FOOTER.pack(digest.raw, len(stored), len(content), FOOTER_MAGIC)
    return _SKIPPABLE_HEAD.pack(_SKIPPABLE, len(stored) + FOOTER_BYTES) + stored + footer, digest


def _digest(stored: bytes) -> Digest:
    return hash_bytes("archive index 1", stored)


def footer_digest(footer: bytes) -> Digest | None:
    """Return the digest of the index in the last 64 bytes of an archive; None if they are no footer."""
    if len(footer) != FOOTER_BYTES or not footer.endswith(FOOTER_MAGIC):
        return None
    return Digest(_FOOTER.unpack(footer)[0])


def index_start(footer: bytes, archive_bytes: int, limits: Limits) -> int:
    """Return the start of the index's skippable frame, which ends the archive. Raises ArchiveError for a bad footer."""
    if footer_digest(footer) is None:
        raise ArchiveError("not an archive of vstore, or cut off: it has no index at its end")
    _, stored, length, _ = _FOOTER.unpack(footer)
    _check_length(stored, length, limits)
    start: int = archive_bytes - FOOTER_BYTES - stored - _SKIPPABLE_HEAD.size
    if start < 0:
        raise ArchiveError("cut off: the index is longer than the archive")
    return start


def _check_length(stored: int, length: int, limits: Limits) -> None:
    if stored > limits.index_bytes or length > limits.index_bytes:
        raise ArchiveError(f"the index is larger than the limit of {limits.index_bytes} bytes")
    if length > max(limits.index_free_bytes, limits.index_ratio * stored):
        raise ArchiveError(f"refused: the content of the index is more than {limits.index_ratio} times its size")


def decode_index(tail: bytes, start: int, limits: Limits, tree: Digest | None = None) -> ArchiveIndex:
    """Decode the skippable frame that starts at `start` and ends the archive. Raises ArchiveError.

    Counts are checked before anything of that size is made, and so is the digest of the tree, if `tree` is given.
    """
    raw_digest, stored_bytes, length, _ = _FOOTER.unpack(tail[-FOOTER_BYTES:])
    stored = tail[_SKIPPABLE_HEAD.size : -FOOTER_BYTES]
    digest = _digest(stored)
    if tail[: _SKIPPABLE_HEAD.size] != _SKIPPABLE_HEAD.pack(_SKIPPABLE, stored_bytes + FOOTER_BYTES):
        raise ArchiveError("the index is damaged: it is not in its own frame")
    if digest.raw != raw_digest:
        raise ArchiveError("the index is damaged: its digest differs")
    try:
        content = zstd.decompress(stored, at_most=length)
        if len(content) != length:
            raise ValueError("the length does not match")
        index = _parse(content, digest, start, start + len(tail), limits, tree)
        _check(index, start)
    except (ValueError, IndexError, struct.error, StoreError) as error:
        raise ArchiveError(f"the index is malformed: {error}") from error
    return index


def _parse(
    content: bytes, digest: Digest, start: int, archive_bytes: int, limits: Limits, expected: Digest | None
) -> ArchiveIndex:
    if not content.startswith(_MAGIC):
        raise ValueError("not of version 1")
    at = len(_MAGIC)

    def take(size: int) -> bytes:
        nonlocal at
        if size > len(content) - at:
            raise ValueError("it ends too early")
        at += size
        return content[at - size : at]

    def number(size: int) -> int:
        return int.from_bytes(take(size), "big")

    name = os.fsdecode(take(number(4)))
    tree = take(number(8))
    if expected is not None and Manifest.digest_of(tree) != expected:
        raise ArchiveError("the archive contains another tree than expected")
    if Manifest.count(tree) > limits.entries:
        raise ArchiveError(f"refused: the archive has more than {limits.entries} entries")
    count = number(4)
    if count > min(limits.entries, start // _MIN_FRAME_BYTES):
        raise ValueError("more frames than the archive has room for")
    sizes = list(_FRAME.iter_unpack(take(count * _FRAME.size)))
    count = number(4)
    if count > Manifest.count(tree):
        raise ValueError("more offsets than files")
    offsets = tuple(FileOffset(*one) for one in _OFFSET.iter_unpack(take(count * _OFFSET.size)))
    if at != len(content):
        raise ValueError("there are bytes after it")
    starts = accumulate((stored for stored, _ in sizes), initial=0)
    frames = tuple(Frame(offset, *size) for offset, size in zip(starts, sizes, strict=False))
    return ArchiveIndex(name, Manifest.decode(tree), frames, offsets, digest, archive_bytes)


def _check(index: ArchiveIndex, start: int) -> None:
    """Raise ValueError unless the frames fill the archive up to the index, and the files lie in them apart."""
    check_name(index.name)
    if sum(frame.size_bytes for frame in index.frames) != start:
        raise ValueError("the frames do not fill the archive")
    if any(not frame.size_bytes or not frame.content_bytes for frame in index.frames):
        raise ValueError("an empty frame")
    if any(
        frame.size_bytes > frame.content_bytes + (frame.content_bytes >> 7) + _FRAME_MARGIN for frame in index.frames
    ):
        raise ValueError("a frame longer than its content needs")
    if len(index.files) != len(index.offsets):
        raise ValueError("not every file has an offset")
    spans = []
    for entry, (frame, offset) in zip(index.files, index.offsets, strict=True):
        if frame >= len(index.frames) or offset > index.frames[frame].content_bytes:
            raise ValueError("a file lies outside its frame")
        at = index.starts[frame] + offset
        if at + entry.size > index.starts[-1]:
            raise ValueError("a file lies outside the archive")
        if entry.size:
            spans.append((at, at + entry.size))
    if any(end > start for (_, end), (start, _) in pairwise(sorted(spans))):
        raise ValueError("files overlap")


def check_name(name: str) -> None:
    """Raise ValueError unless this can be a folder's name."""
    if not 0 < len(os.fsencode(name)) <= 255 or name in (".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"not a folder's name: {name!r}")
