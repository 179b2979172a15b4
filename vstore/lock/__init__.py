"""Locking: what the spec asks for, pinned.

The work itself is in `resolve.lock`, `select.select` and `staleness.check`, whose imports a no-op does without.
"""

from vstore.lock.lockfile import read_locks
from vstore.lock.metadata import deployed_name
from vstore.lock.model import (
    Download,
    InterpreterPin,
    LockedLayer,
    LockedPackage,
    LockOptions,
    LockRecord,
    PinnedWheel,
    PythonForLocking,
)
from vstore.spec.lockfiles import lock_files, lock_path

__all__ = [
    "Download",
    "InterpreterPin",
    "LockOptions",
    "LockRecord",
    "LockedLayer",
    "LockedPackage",
    "PinnedWheel",
    "PythonForLocking",
    "deployed_name",
    "lock_files",
    "lock_path",
    "read_locks",
]
