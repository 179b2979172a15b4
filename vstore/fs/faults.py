"""Fault injection: steps at which a test can kill, fail or stop this process.

``VSTORE_FAULT=POINT[:N][:ACTION]``, read by the command line, acts when the point is reached for the N-th time (the
first by default): ``kill`` (SIGKILL, the default), ``stop`` (SIGSTOP), ``enospc`` or ``eio`` (raise the error). Without
a fault a point costs a call and a comparison.
"""

from __future__ import annotations

import errno
import os
import signal
from enum import StrEnum

from vstore.errors import UsageError


class Point(StrEnum):
    """Every step after which a crash leaves another state on disk, in the order of the work."""

    ROOT_MADE = "root-made"
    SCHEMA_MADE = "schema-made"  # before its commit
    FILE_WRITTEN = "file-written"  # before its rename
    LINK_MADE = "link-made"  # before its rename
    LINK_RENAMED = "link-renamed"  # before the flush of its folder
    STAGED = "staged"
    TEMP_ROOT_MADE = "temp-root-made"  # still empty
    ADD_SCANNED = "add-scanned"
    ADD_NAMED = "add-named"
    ADD_DESCRIBED = "add-described"  # its manifest is written
    ADD_FLUSHED = "add-flushed"
    ADD_CLEARED = "add-cleared"  # unless it is exchanged with the old entry
    ADD_MOVED = "add-moved"  # before it is frozen
    ADD_FROZEN = "add-frozen"
    INDEX_WRITTEN = "index-written"  # before the commit
    INDEX_COMMITTED = "index-committed"
    ADD_REGISTERED = "add-registered"
    GENERATION_LINKED = "generation-linked"
    GENERATION_RECORDED = "generation-recorded"
    PROFILE_SWITCHED = "profile-switched"
    GENERATIONS_DROPPED = "generations-dropped"  # their links are still there
    PROFILE_REMOVED = "profile-removed"  # links of its generations are still there
    PLACE_BEGUN = "place-begun"  # beside a place that a user names there is a folder for unfinished work
    PLACE_READY = "place-ready"  # before it gets its name
    PLACE_FILLED = "place-filled"  # the entry that it replaces is still in that folder
    GC_DECIDED = "gc-decided"
    GC_LOCKED = "gc-locked"  # for one more batch
    GC_FORGOTTEN = "gc-forgotten"  # rows are out, folders still in place
    GC_MOVED = "gc-moved"  # one more folder, manifest or log is in the trash
    GC_DISCARDED = "gc-discarded"  # all of a batch is in the trash
    GC_RELEASED = "gc-released"  # before the trash is unlinked
    GC_UNLINKING = "gc-unlinking"  # one more folder of the trash
    GC_IN_PLACE = "gc-in-place"  # one more place that cannot be moved to the trash is removed where it is
    GC_EMPTIED = "gc-emptied"
    CACHE_UNLINKED = "cache-unlinked"  # nothing leads to one more cached wheel, which is still there
    CACHE_MOVED = "cache-moved"  # one more has a temporary name
    OPTIMISE_NOTED = "optimise-noted"  # one more object will be changed
    OPTIMISE_THAWED = "optimise-thawed"  # one more folder of it is writable
    OPTIMISE_LINKED = "optimise-linked"  # one more link is made in the staging area
    OPTIMISE_REPLACED = "optimise-replaced"  # it has taken the place of a file, its folder is still writable
    REINDEX_FILLED = "reindex-filled"
    REINDEX_LOG_GONE = "reindex-log-gone"  # the old log is, the old index is not
    REINDEX_REPLACED = "reindex-replaced"
    PUSH_STARTED = "push-started"  # the cache is made
    PUSH_KEPT = "push-kept"  # one more packed archive is kept, and not yet in the index
    PUSH_PACKED = "push-packed"  # one more archive lies in a staging area
    PUSH_UPLOADED = "push-uploaded"  # one more archive is in the cache, its record is not
    PUSH_DESCRIBED = "push-described"  # one more record is, its realisations are not
    PUSH_REALISED = "push-realised"  # one more realisation is
    PUSH_DELTA_UPLOADED = "push-delta-uploaded"  # before its record
    PUSH_DELTA_DESCRIBED = "push-delta-described"
    PUSH_SBOM_UPLOADED = "push-sbom-uploaded"  # before its record
    PUSH_NUMBERED = "push-numbered"  # a channel has a new number, and does not point to it yet
    PUSH_PUBLISHED = "push-published"
    PULL_SEEN = "pull-seen"  # a channel's number is remembered
    PULL_STARTED = "pull-started"  # one more staging area is made
    PULL_PATCHED = "pull-patched"  # files were made by a delta
    PULL_UNPACKED = "pull-unpacked"  # one more tree is whole, not yet added
    PULL_ADDED = "pull-added"


class _Fault:
    def __init__(self, point: Point, left: int, action: str) -> None:
        self.point = point
        self.left = left
        self.action = action


_armed: _Fault | None = None


def arm(text: str | None) -> None:
    """Set the fault of this process; None for none. Raises UsageError for an invalid fault."""
    global _armed
    _armed = _parse(text) if text else None


def _parse(text: str) -> _Fault:
    name, *rest = text.split(":")
    left = int(rest.pop(0)) if rest and rest[0].isdecimal() else 1
    action = rest.pop(0) if rest else "kill"
    if rest or name not in set(Point) or action not in ("kill", "stop", "enospc", "eio"):
        raise UsageError(f"not a fault: {text}", details=[f"points: {', '.join(Point)}"])
    return _Fault(Point(name), left, action)


def reached(point: Point) -> None:
    """Report that a step is done, and act if the fault is set for it."""
    if _armed is not None and _armed.point is point:
        _strike(_armed)


def _strike(fault: _Fault) -> None:
    fault.left -= 1
    if fault.left:
        return
    match fault.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case _:
            code = errno.ENOSPC if fault.action == "enospc" else errno.EIO
            raise OSError(code, os.strerror(code))
