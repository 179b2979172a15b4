"""Check a tree from outside before it is written (pure): its entries, and its sizes."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict

from vstore.archive.model import ArchiveIndex
from vstore.errors import ArchiveError
from vstore.fs.trees.manifest import Manifest
from vstore.fs.trees.validate import Limits, TreeValidator


def check_tree(manifest: Manifest, limits: Limits) -> None:
    """Raise ArchiveError if an entry is forbidden."""
    validator = TreeValidator(limits)
    for entry in manifest.entries:
        validator.check_entry(entry)


def check_limits(index: ArchiveIndex, limits: Limits) -> None:
    """Raise ArchiveError if the archive exceeds the limits, or if one of its entries is forbidden.

    The limits are those on the compression ratio and the size of a frame. A forbidden entry has an unsafe name, is a
    link to outside, or is too large.
    """
    check_ratio(index.starts[-1], index.archive_bytes, limits)
    check_frames(index, limits)
    check_tree(index.manifest, limits)


def check_frames(index: ArchiveIndex, limits: Limits) -> None:
    """Raise ArchiveError if a frame is larger than the limit."""
    if any(frame.content_bytes > limits.frame_bytes for frame in index.frames):
        raise ArchiveError(f"refused: the archive has a frame of more than {limits.frame_bytes} bytes")


def check_ratio(content_bytes: int, archive_bytes: int, limits: Limits) -> None:
    """Raise ArchiveError if the content is too large for so small an archive."""
    if content_bytes > max(limits.ratio_free_bytes, limits.ratio * archive_bytes):
        raise ArchiveError(f"refused: the content of the archive is more than {limits.ratio} times its size")


def check_equal(found: Manifest, expected: Manifest | None) -> None:
    """Raise ArchiveError if the tree differs from the expected one."""
    if expected is not None and found.digest != expected.digest:
        details = list(expected.differences(found))
        raise ArchiveError("the archive contains another tree than expected", details=details[:10])


def case_collisions(manifest: Manifest) -> list[tuple[str, ...]]:
    """Return the groups of paths that are one path on a file system that ignores case or Unicode composition."""
    groups: dict[str, list[str]] = defaultdict(list)
    for entry in manifest.entries:
        path = os.fsdecode(entry.path)
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
        groups[folded].append(path)
    return [tuple(group) for group in groups.values() if len(group) > 1]
