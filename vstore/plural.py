"""Numbers of things in sentences."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an ``s`` unless there is one: ``1 wheel``, ``2 wheels``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
