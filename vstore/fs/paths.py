"""Paths as users write them, and as they can paste them."""

from __future__ import annotations

import os
from pathlib import Path

from vstore.errors import UsageError


def absolute(text: str | Path) -> Path:
    """Return the absolute path for a path that a user wrote; ``~`` is the home folder. Raises UsageError."""
    if not str(text) or "\0" in str(text):
        raise UsageError(f"not a path: {str(text)!r}")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"no such user: {text}") from error
    except FileNotFoundError as error:
        raise UsageError(f"the current folder was removed, so there is no {text}") from error


def typed(path: Path) -> str:
    """Return a path as a person would type it: relative if it is below the current folder, else as it is."""
    try:
        below = os.path.relpath(path)
    except (OSError, ValueError):  # the current folder was removed, or is on another drive
        return str(path)
    if below == os.pardir or below.startswith(os.pardir + os.sep):
        return str(path)
    return os.path.join(os.curdir, below) if below.startswith("-") else below


def quoted(path: Path) -> str:
    """Return a path as it can be pasted into a command: as `typed`, and quoted for a shell."""
    import shlex  # 2 ms, only for a hint

    return shlex.quote(typed(path))
