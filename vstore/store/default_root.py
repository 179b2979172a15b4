"""The root of a store that the user does not name: in the user's data folder, or in /var/tmp if that cannot be made."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from vstore.errors import StoreError

_LASTING = Path("/var/tmp")  # kept over a restart, unlike /tmp (Filesystem Hierarchy Standard 5.15)
_HINT = "choose another folder with --root or VSTORE_ROOT"


def usable_root(root: Path) -> Path:
    """Return the root in a user's data folder, or `substitute_root` if it cannot be made.

    That is so for users without a home folder, as services have them, or with one that is not theirs.
    Raises StoreError as `substitute_root` does.
    """
    return substitute_root() if sys.platform == "linux" and not _can_be_made(root) else root


def substitute_root(folder: Path = _LASTING) -> Path:
    """Return the root of the store of a user without a home folder, below a folder that all users may write.

    Raises StoreError if another user made it, or may write to it.
    """
    root = folder / f"vstore-{os.getuid()}"
    try:
        status = os.lstat(root)
    except FileNotFoundError:
        return root
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise StoreError(f"there is no home folder, and {root} is not only this user's", hint=_HINT)
    return root


def is_substitute(root: Path) -> bool:
    """Return whether a root is that of a user without a home folder, which the system may clean."""
    return sys.platform == "linux" and root == _LASTING / f"vstore-{os.getuid()}"


def _can_be_made(folder: Path) -> bool:
    """Return whether a folder exists, or could be made by this user."""
    for place in (folder, *folder.parents):
        try:
            os.lstat(place)
        except FileNotFoundError:
            continue
        except OSError:
            return False
        return place == folder or os.access(place, os.W_OK | os.X_OK)
    return False
