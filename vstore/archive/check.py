"""Whether a tree from outside may be written (pure): its entries are admitted, and it costs no more than the limits."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict

from vstore.archive.model import Index
from vstore.errors import ArchiveError
from vstore.fs.trees.manifest import Manifest
from vstore.fs.trees.validate import Limits, TreeValidator


def admit_all(manifest: Manifest, limits: Limits) -> None:
    """ArchiveError unless the whole tree may be written."""
    admission = TreeValidator(limits)
    for entry in manifest.entries:
        admission.admit(entry)


def check_cost(index: Index, limits: Limits) -> None:
    """ArchiveError if unpacking costs more than the limits or the tree may not be written."""
    check_ratio(index.starts[-1], index.archive_bytes, limits)
    if any(frame.content_bytes > limits.frame_bytes for frame in index.frames):
        raise ArchiveError(f"refused: a frame of more than {limits.frame_bytes} bytes")
    admit_all(index.manifest, limits)


def check_ratio(content_bytes: int, archive_bytes: int, limits: Limits) -> None:
    """ArchiveError if so small an archive may not hold so much content."""
    if content_bytes > max(limits.ratio_free_bytes, limits.ratio * archive_bytes):
        raise ArchiveError(f"refused: its content is more than {limits.ratio} times its size")


def case_collisions(manifest: Manifest) -> list[tuple[str, ...]]:
    """The paths that a file system that ignores case or Unicode's composed forms takes for one, each group sorted."""
    groups: dict[str, list[str]] = defaultdict(list)
    for entry in manifest.entries:
        path = os.fsdecode(entry.path)
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
        groups[folded].append(path)
    return [tuple(group) for group in groups.values() if len(group) > 1]
