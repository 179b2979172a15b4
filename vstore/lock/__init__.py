"""Locking: what the spec asks for, pinned.

The work itself is in `resolve.lock`, `select.select` and `staleness.check`, whose imports a no-op does without.
"""

from vstore.lock.lockfile import lock_files, lock_path, read_locks
from vstore.lock.model import Download, InterpreterPin, LockedLayer, LockedPackage, PinnedWheel, PythonForLocking

__all__ = [
    "Download",
    "InterpreterPin",
    "LockedLayer",
    "LockedPackage",
    "PinnedWheel",
    "PythonForLocking",
    "lock_files",
    "lock_path",
    "read_locks",
]
