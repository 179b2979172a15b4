"""Paths as users write them."""

from __future__ import annotations

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
