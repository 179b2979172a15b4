"""Renaming without replacing anything."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

_AT_CWD, _NOREPLACE = -100, 1  # linux/fcntl.h, linux/fs.h
_NO_SUCH_CALL = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def rename_new(old: Path, new: Path) -> None:
    """Rename a file, link or folder. Raises FileExistsError if the new name exists, and replaces nothing.

    One step of the kernel with renameat2(2). Elsewhere a file gets its new name by link(2), and a folder replaces an
    empty one created for it. Without either, as on FAT before Linux 3.15, the name is checked first.
    """
    code = _renameat2(old, new)
    if code == 0:
        return
    if code not in _NO_SUCH_CALL:
        raise OSError(code, os.strerror(code), str(old), None, str(new))  # EEXIST makes it a FileExistsError
    if sys.platform == "win32":  # where rename replaces nothing
        os.rename(old, new)
    elif stat.S_ISDIR(os.lstat(old).st_mode):
        os.mkdir(new)
        os.rename(old, new)
    else:
        _link(old, new)


def _link(old: Path, new: Path) -> None:
    try:
        os.link(old, new, follow_symlinks=False)
    except PermissionError:  # a file system without hard links
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from None
        os.rename(old, new)
    else:
        os.unlink(old)


def _renameat2(old: Path, new: Path) -> int:
    """Return the error number of renameat2(2) with RENAME_NOREPLACE: 0 for success, ENOSYS if it does not exist."""
    if sys.platform != "linux":
        return errno.ENOSYS
    import ctypes  # loaded late: most commands do not need it

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return errno.ENOSYS
    if rename(_AT_CWD, os.fsencode(old), _AT_CWD, os.fsencode(new), _NOREPLACE) == 0:
        return 0
    return ctypes.get_errno()
