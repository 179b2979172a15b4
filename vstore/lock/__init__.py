"""Locking: what the spec asks for, pinned."""

from vstore.lock.lockfile import lock_files, lock_path, read_locks
from vstore.lock.model import Download, InterpreterPin, LockedLayer, LockedPackage, PinnedWheel, PythonForLocking
from vstore.lock.resolve import lock
from vstore.lock.select import select
from vstore.lock.staleness import check

__all__ = [
    "Download",
    "InterpreterPin",
    "LockedLayer",
    "LockedPackage",
    "PinnedWheel",
    "PythonForLocking",
    "check",
    "lock",
    "lock_files",
    "lock_path",
    "read_locks",
    "select",
]
