"""Making links on systems that tell links to folders from links to files."""

from __future__ import annotations

import os
from pathlib import Path

from vstore.errors import StoreError

_NO_RIGHT = 1314  # ERROR_PRIVILEGE_NOT_HELD


def make_link(path: Path, target: str, *, folder: bool) -> None:
    """A relative link at `path`; `folder` says what it leads to, which Windows must know when the link is made.

    StoreError where the user may not make links (Windows without Developer Mode).
    """
    try:
        os.symlink(target, path, target_is_directory=folder)
    except OSError as error:
        if getattr(error, "winerror", None) != _NO_RIGHT:
            raise
        raise StoreError(
            f"no right to make symbolic links: {path.name}",
            hint="turn on Developer Mode in Windows' settings, or use `vstore export`, which needs none",
        ) from error
