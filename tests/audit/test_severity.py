from __future__ import annotations

import pytest

from scripts.testing.advisories import CRITICAL
from vstore.audit.model import Advisory, Severity
from vstore.audit.severity import cvss_score, severity_of


@pytest.mark.parametrize(
    ("vector", "score"),
    [
        ("AV:N/AC:L/Au:N/C:P/I:P/A:P", 7.5),
        (CRITICAL, 9.8),
        ("CVSS:3.0/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", 1.8),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3),
        ("CVSS:3.1/AV:N", None),
        ("7.5", None),
        ("", None),
    ],
)
def test_the_score_of_a_vector(vector: str, score: float | None) -> None:
    assert cvss_score(vector) == score


def made(identifier: str = "X-1", *vectors: str, word: str | None = None) -> Advisory:
    return Advisory(id=identifier, package="p", vectors=vectors, word=word)


def test_the_highest_score_wins_over_words() -> None:
    low = "CVSS:3.0/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"
    assert severity_of([made("A", low), made("B", CRITICAL, word="low")]) == Severity("critical", 9.8)
    assert severity_of([made("A", low)]) == Severity("low", 1.8)


def test_the_words_of_databases_are_translated() -> None:
    assert severity_of([made(word="moderate"), made(word="low"), made(word="odd")]) == Severity("medium")
    assert severity_of([made(word="odd")]) is None
    assert severity_of([made("MAL-2026-1", CRITICAL)]) == Severity("malicious")
