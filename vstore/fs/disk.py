"""What the file system that holds a folder says of itself."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  # ioctl_iflags(2), where a long has eight bytes
_TOP_FOLDER = 0x20000


def free_bytes(place: Path) -> int:
    """What an ordinary user may still write there."""
    if sys.platform == "win32":
        import shutil  # a no-op does without it

        free = shutil.disk_usage(place).free
    else:
        found = os.statvfs(place)
        free = found.f_bavail * found.f_frsize
    return free


def spread_folders(place: Path) -> None:
    """Ask ext4 for folders in `place` to start in block groups far apart, as for a disk's top folders (``chattr +T``).

    It looks for a free inode near the folder, and passes one by one over those deleted in the last half minute: a file
    made after a large removal costs twenty times as much as in a group of its own. Other file systems are left alone.
    """
    if sys.platform != "linux":
        return
    import fcntl
    import struct

    handle = os.open(place, os.O_RDONLY)
    try:
        with suppress(OSError):  # no file system with flags, or a folder of somebody else's
            (flags,) = struct.unpack("i", fcntl.ioctl(handle, _GET_FLAGS, bytes(4)))
            fcntl.ioctl(handle, _SET_FLAGS, struct.pack("i", flags | _TOP_FOLDER))
    finally:
        os.close(handle)
