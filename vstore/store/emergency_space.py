"""Space kept back on the store's file system, so that collecting garbage works when everything else is full."""

from __future__ import annotations

import os
from contextlib import suppress

from vstore.fs.disk import free_bytes
from vstore.store.layout import Layout

RESERVE_BYTES = 8 << 20  # the index's log while a batch of objects is removed, and then some
_ROOMY_BYTES = 16 * RESERVE_BYTES


def keep_emergency_space(layout: Layout) -> None:
    """Fill the reserve if there is plenty of room; if that fails, the store works without."""
    with suppress(OSError):
        if os.path.lexists(layout.reserve) or free_bytes(layout.root) < _ROOMY_BYTES:
            return
        name = f"reserve-{os.urandom(4).hex()}"
        with layout.opened(layout.tmp) as tmp, layout.opened(layout.root) as root:
            try:
                _fill(tmp.make_file(name, 0o600))
                tmp.rename(name, root, layout.reserve.name)
            finally:
                tmp.unlink(name)


def _fill(handle: int) -> None:
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, RESERVE_BYTES)
        else:
            os.write(handle, b"\0" * RESERVE_BYTES)
    finally:
        os.close(handle)


def release_emergency_space(layout: Layout) -> None:
    """Give the space back if the file system is nearly full; `keep_emergency_space` takes it again later."""
    with suppress(OSError):
        if free_bytes(layout.root) < RESERVE_BYTES:
            layout.reserve.unlink()
