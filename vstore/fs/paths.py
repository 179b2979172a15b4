"""Paths as people write them."""

from __future__ import annotations

from pathlib import Path

from vstore.errors import UsageError


def absolute(text: str | Path) -> Path:
    """The absolute path that a person names; ``~`` is the home folder. UsageError for what cannot be one."""
    if not str(text) or "\0" in str(text):
        raise UsageError(f"not a path: {str(text)!r}")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"no such user: {text}") from error
    except FileNotFoundError as error:
        raise UsageError(f"the current folder is gone, and with it {text}") from error
