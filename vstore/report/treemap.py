"""Squarified treemaps: rectangles whose areas are sizes, as near to squares as can be (pure).

The method is that of Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle. The origin is at the top left."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, margin: float, top: float) -> Box:
        """Return the rectangle within margins, with room for a heading at its top; empty if it is too small."""
        width, height = self.width - 2 * margin, self.height - 2 * margin - top
        return Box(self.x + margin, self.y + margin + top, max(width, 0), max(height, 0))


def squarify(sizes: Sequence[float], box: Box) -> list[Box]:
    """Return a rectangle in `box` for each size. The sizes are positive and descend."""
    boxes: list[Box] = []
    remaining, start = sum(sizes), 0
    while start < len(sizes):
        scale = box.width * box.height / remaining if remaining else 0.0
        short = min(box.width, box.height)
        end = start + 1
        while end < len(sizes) and _worst(sizes[start : end + 1], scale, short) <= _worst(
            sizes[start:end], scale, short
        ):
            end += 1
        row = sizes[start:end]
        placed, box = _place(row, box, sum(row) / remaining if remaining else 0.0)
        boxes += placed
        remaining, start = remaining - sum(row), end
    return boxes


def _worst(row: Sequence[float], scale: float, short: float) -> float:
    """Return the worst ratio of the sides of the rectangles of a row along the short side."""
    area = sum(row) * scale
    if not area or not short:
        return float("inf")
    thickness = area / short
    return max(max(thickness**2 / (size * scale), size * scale / thickness**2) for size in (row[0], row[-1]))


def _place(row: Sequence[float], box: Box, share: float) -> tuple[list[Box], Box]:
    """Place a row that takes a share of the box; return its rectangles and the rest of the box."""
    boxes, whole, at = [], sum(row), 0.0
    upright = box.width >= box.height  # the row is a column at the left
    for size in row:
        part = size / whole
        if upright:
            boxes.append(Box(box.x, box.y + at * box.height, box.width * share, box.height * part))
        else:
            boxes.append(Box(box.x + at * box.width, box.y, box.width * part, box.height * share))
        at += part
    if upright:
        return boxes, Box(box.x + box.width * share, box.y, box.width * (1 - share), box.height)
    return boxes, Box(box.x, box.y + box.height * share, box.width, box.height * (1 - share))
