"""The severity of advisories: the scores of CVSS 2, 3 and 4, else the word of the database."""

from __future__ import annotations

from collections.abc import Iterable

from vstore.audit.model import Advisory, Severity

_LEVELS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))  # CVSS v4.0, section 6
_WORDS = {"moderate": "medium", "important": "high"}  # of GitHub and Red Hat
_ORDER = ("none", "low", "medium", "high", "critical")
MALICIOUS = Severity("malicious")


def severity_of(advisories: Iterable[Advisory]) -> Severity | None:
    """Return the highest severity of advisories about one vulnerability; None if none states one."""
    known = list(advisories)
    if any(one.is_malicious for one in known):
        return MALICIOUS
    scores = [score for one in known for vector in one.vectors if (score := cvss_score(vector)) is not None]
    if scores:
        return Severity(_word(max(scores)), max(scores))
    words = [_WORDS.get(one.word, one.word) for one in known if one.word]
    known_words = [word for word in words if word in _ORDER]
    return Severity(max(known_words, key=_ORDER.index)) if known_words else None


def cvss_score(vector: str) -> float | None:
    """Return the base score of a vector of CVSS; None if it is not valid."""
    from cvss import CVSS2, CVSS3, CVSS4
    from cvss.exceptions import CVSSError

    try:
        if vector.startswith("CVSS:4"):
            return float(CVSS4(vector).base_score)
        if vector.startswith("CVSS:3"):
            return float(CVSS3(vector).base_score)
        return float(CVSS2(vector).base_score)
    except (CVSSError, ValueError, KeyError, ArithmeticError):
        return None


def _word(score: float) -> str:
    return next((word for least, word in _LEVELS if score >= least), "none")
