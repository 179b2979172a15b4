"""Space kept allocated on the store's file system, so that a collection works when the disk is full."""

from __future__ import annotations

import os
from contextlib import suppress

from vstore.fs.disk import free_bytes
from vstore.store.layout import StoreLayout

EMERGENCY_BYTES = 8 << 20  # more than the index's log takes while a batch of objects is removed
_ROOMY_BYTES = 16 * EMERGENCY_BYTES


def keep_emergency_space(layout: StoreLayout) -> None:
    """Allocate the emergency space if there is plenty of room. The store works without it if that fails."""
    with suppress(OSError):
        if os.path.lexists(layout.emergency_space) or free_bytes(layout.root) < _ROOMY_BYTES:
            return
        name = f"emergency-{os.urandom(4).hex()}"
        with layout.opened(layout.tmp) as tmp, layout.opened(layout.root) as root:
            try:
                _fill(tmp.create(name, 0o600))
                tmp.rename(name, root, layout.emergency_space.name)
            finally:
                tmp.unlink(name)


def _fill(handle: int) -> None:
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, EMERGENCY_BYTES)
        else:
            os.write(handle, b"\0" * EMERGENCY_BYTES)
    finally:
        os.close(handle)


def release_emergency_space(layout: StoreLayout) -> None:
    """Free the emergency space if the file system is nearly full."""
    with suppress(OSError):
        if free_bytes(layout.root) < EMERGENCY_BYTES:
            layout.emergency_space.unlink()
