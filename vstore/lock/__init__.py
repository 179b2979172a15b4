"""Locking: the versions and wheels of a spec's layers, pinned.

Resolving (`resolution.resolve`), selecting wheels (`wheels`) and `staleness` are imported where they are needed.
"""

from vstore.lock.model import (
    Download,
    InterpreterPin,
    LockedLayer,
    LockedPackage,
    LockOptions,
    PinnedWheel,
    PythonForLocking,
)
from vstore.lock.project import Project
from vstore.lock.record import deployed_name
from vstore.spec.lockfiles import lock_path

__all__ = [
    "Download",
    "InterpreterPin",
    "LockOptions",
    "LockedLayer",
    "LockedPackage",
    "PinnedWheel",
    "Project",
    "PythonForLocking",
    "deployed_name",
    "lock_path",
]
