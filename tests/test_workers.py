"""Calls divided among processes: every result once, wherever it was made."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

import pytest

from vstore.workers import map_unordered


def made_by(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_call_is_made_once(processes: int) -> None:
    with map_unordered([partial(pow, 2, number) for number in range(200)], processes) as results:
        assert sorted(results) == [(number, 2**number) for number in range(200)]


def test_all_take_part() -> None:
    with map_unordered([partial(made_by, 0.05) for _ in range(60)], 3) as results:
        assert len({process for _, process in results} | {os.getpid()}) == 3


def test_what_cannot_be_sent_is_made_here() -> None:
    calls: list[Callable[[], int]] = [lambda number=number: number + os.getpid() for number in range(5)]  # type: ignore[misc]
    with map_unordered(calls, 2) as results:
        assert sorted(results) == [(number, number + os.getpid()) for number in range(5)]


def test_a_call_that_fails_fails_here() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        map_unordered([partial(divmod, 1, 0), *[partial(divmod, 1, 1)] * 9], 2) as results,
    ):
        list(results)
