"""Numbers of things in sentences."""

from __future__ import annotations

from vstore.plural import count


def test_one_thing_is_singular() -> None:
    assert [count(number, "wheel") for number in (0, 1, 2)] == ["0 wheels", "1 wheel", "2 wheels"]
