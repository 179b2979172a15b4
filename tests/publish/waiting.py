"""Helpers of several test files."""

from __future__ import annotations

from pathlib import Path


def appears(folder: Path, pattern: str) -> bool:
    """Whether something that is not empty is there; folders of unfinished work may go while one looks."""
    try:
        return any(path.stat().st_size for path in folder.glob(pattern))
    except FileNotFoundError:
        return False
