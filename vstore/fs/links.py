"""Making symbolic links, also on Windows, which distinguishes links to folders from links to files."""

from __future__ import annotations

import os
from pathlib import Path

from vstore.errors import StoreError

_NO_RIGHT = 1314  # ERROR_PRIVILEGE_NOT_HELD


def make_link(path: Path, target: str, *, folder: bool) -> None:
    """Make a relative link at `path`. `folder` states whether the target is a folder; Windows needs to know.

    Raises StoreError if the user is not allowed to make links (Windows without Developer Mode).
    """
    try:
        os.symlink(target, path, target_is_directory=folder)
    except OSError as error:
        if getattr(error, "winerror", None) != _NO_RIGHT:
            raise
        raise StoreError(
            f"no permission to make symbolic links: {path.name}",
            hint="turn on Developer Mode in Windows' settings, or use `vstore export`, which needs none",
        ) from error
