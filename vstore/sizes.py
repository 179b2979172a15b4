"""Sizes as text."""

from __future__ import annotations


def size(size_bytes: int) -> str:
    """Return a size in binary units: ``1.5 MiB``."""
    amount = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} PiB"
