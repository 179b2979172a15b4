from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.report.treemap import Box, squarify

WHOLE = Box(3, 5, 1200, 640)
SIZES = st.lists(st.integers(1, 1 << 40), min_size=1, max_size=40).map(lambda sizes: sorted(sizes, reverse=True))


@given(SIZES)
def test_areas_are_sizes_and_nothing_overlaps(sizes: list[int]) -> None:
    boxes = squarify(sizes, WHOLE)
    assert len(boxes) == len(sizes)
    for box, size in zip(boxes, sizes, strict=True):
        assert box.width * box.height == pytest.approx(WHOLE.width * WHOLE.height * size / sum(sizes), rel=1e-6)
        assert box.x >= WHOLE.x - 1e-6 and box.x + box.width <= WHOLE.x + WHOLE.width + 1e-6
        assert box.y >= WHOLE.y - 1e-6 and box.y + box.height <= WHOLE.y + WHOLE.height + 1e-6
    for one, other in combinations(boxes, 2):
        across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
        down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
        assert across < 1e-6 or down < 1e-6


def test_equal_sizes_are_nearly_squares() -> None:
    assert all(1 / 2 < box.width / box.height < 2 for box in squarify([1] * 12, WHOLE))


def test_a_rectangle_without_room_has_only_empty_ones() -> None:
    assert all(not box.width * box.height for box in squarify([3, 2, 1], Box(0, 0, 0, 10)))
