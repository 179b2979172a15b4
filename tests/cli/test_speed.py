"""Speeds and times left, by a clock of the test."""

from __future__ import annotations

import pytest

from vstore.cli.speed import Meter, span


def test_speed_is_that_of_the_last_seconds() -> None:
    meter = Meter()
    for second in range(20):
        meter.add(float(second), second * 10 if second < 10 else 100 + (second - 10) * 50)
    assert meter.per_second(19.0) == pytest.approx(50)
    assert meter.seconds_left(19.0, 1050) == pytest.approx(10)


def test_nothing_is_known_at_the_beginning() -> None:
    meter = Meter()
    assert meter.per_second(0.0) is None
    meter.add(0.0, 0)
    meter.add(0.1, 5)
    assert meter.per_second(0.1) is None
    meter.add(1.0, 50)
    assert meter.per_second(1.0) == pytest.approx(50)
    assert meter.seconds_left(1.0, 100) is None
    assert meter.seconds_left(3.0, 0) is None


def test_work_that_stands_still_gets_slower_and_never_divides_by_zero() -> None:
    meter = Meter()
    meter.add(0.0, 0)
    meter.add(5.0, 0)
    assert meter.per_second(5.0) == 0
    assert meter.seconds_left(5.0, 100) is None


def test_work_that_begins_again_is_measured_again() -> None:
    meter = Meter()
    meter.add(0.0, 0)
    meter.add(4.0, 400)
    meter.add(5.0, 0)
    meter.add(6.0, 10)
    assert meter.per_second(6.0) == pytest.approx(10)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_times_as_text(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_frequent_reports_are_measured_like_rare_ones() -> None:
    meter = Meter()
    for number in range(100_001):
        meter.add(number / 100_000, number)
    assert meter.per_second(1.0) == pytest.approx(100_000, rel=0.01)
