"""Properties of the file system that holds a folder."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  # ioctl_iflags(2), where a long has eight bytes
_TOP_FOLDER = 0x20000


def free_bytes(place: Path) -> int:
    """Return the bytes that an ordinary user can still write to the file system."""
    if sys.platform == "win32":
        import shutil  # a no-op does without it

        free = shutil.disk_usage(place).free
    else:
        found = os.statvfs(place)
        free = found.f_bavail * found.f_frsize
    return free


def is_read_only(place: Path) -> bool:
    """Return whether the folder's file system is mounted read-only; False if the folder does not exist."""
    if sys.platform == "win32":
        return False
    try:
        return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def spread_folders(folder: int | str) -> None:
    """Make ext4 place the subfolders of a folder in block groups far apart, as for top folders (``chattr +T``).

    ext4 searches for a free inode near the folder, and skips one by one those deleted in the last half minute: creating
    a file after a large removal costs twenty times as much there as in another group. Only ext4 is changed.
    """
    if sys.platform != "linux" or isinstance(folder, str):
        return
    import fcntl
    import struct

    with suppress(OSError):  # no such flags, or another user's folder
        (flags,) = struct.unpack("i", fcntl.ioctl(folder, _GET_FLAGS, bytes(4)))
        fcntl.ioctl(folder, _SET_FLAGS, struct.pack("i", flags | _TOP_FOLDER))


def one_mount(one: Path, other: Path) -> bool:
    """Return whether a rename can lead from one folder to the other: one file system, and on Linux one mount of it.

    Two mounts of one file system (``mount --bind``) have the same device, but rename(2) does not work between them.
    """
    return _mount(one) == _mount(other)


def _mount(place: Path) -> tuple[int, bytes]:
    handle = os.open(place, os.O_RDONLY) if sys.platform == "linux" else -1
    if handle < 0:
        return os.stat(place).st_dev, b""
    try:
        with suppress(OSError), open(f"/proc/self/fdinfo/{handle}", "rb") as file:  # proc_pid_fdinfo(5), since 3.15
            return os.fstat(handle).st_dev, next((line for line in file if line.startswith(b"mnt_id:")), b"")
        return os.fstat(handle).st_dev, b""
    finally:
        os.close(handle)
