from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.testing.trees import WHEN, info
from vstore.profile import Generation, Retention, expired

NOW = WHEN + timedelta(days=10)


def generations(count: int, current: int) -> list[Generation]:
    """One a day, so that generation n is 10 - n days old."""
    return [
        Generation(
            profile="p",
            number=number,
            path=info(f"n{number}").path,
            created_at=WHEN + timedelta(days=number),
            spec_path=None,
            spec_digest=None,
            replaced_number=number - 1 or None,
            current=number == current,
        )
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize(
    ("current", "keep", "days", "gone"),
    [
        (5, None, None, ()),
        (5, 2, None, (1, 2, 3)),
        (5, 1, None, (1, 2, 3, 4)),
        (5, 9, None, ()),
        (1, 2, None, (2, 3, 4)),
        (3, 1, None, (1, 2, 4, 5)),
        (5, None, 7, (1, 2)),
        (1, None, 7, (2,)),
        (5, None, 0, (1, 2, 3, 4)),
        (5, 4, 6, (1,)),
        (5, 2, 7, (1, 2)),
    ],
)
def test_what_goes(current: int, keep: int | None, days: int | None, gone: tuple[int, ...]) -> None:
    older_than = timedelta(days=days) if days is not None else None
    assert expired(generations(5, current), Retention(keep=keep, older_than=older_than), now=NOW) == gone


@given(st.integers(1, 12), st.data(), st.none() | st.integers(1, 14), st.none() | st.integers(0, 14))
def test_the_current_one_and_the_newest_stay(
    count: int, data: st.DataObject, keep: int | None, days: int | None
) -> None:
    current = data.draw(st.integers(1, count))
    older_than = timedelta(days=days) if days is not None else None
    gone = expired(generations(count, current), Retention(keep=keep, older_than=older_than), now=NOW)
    assert current not in gone
    if keep is not None:
        assert count - len(gone) >= min(keep, count)
    if days is not None:
        assert all(10 - number > days for number in gone)
    if keep is None and days is None:
        assert gone == ()
