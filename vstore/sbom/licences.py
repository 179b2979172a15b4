"""Licences as packages state them: SPDX expressions where they are valid (PEP 639), names otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from vstore.sbom.model import Licence

_LONGEST_EXPRESSION = 500
_LONGEST_NAME = 200
_CLASSIFIER = "License :: "
_UNSTATED = ("", "UNKNOWN", "NOASSERTION", "NONE")


@cache
def licence(text: str) -> Licence:
    """Return a licence by its text: an expression if it is a valid one, else a name, which is its first line."""
    if len(text) <= _LONGEST_EXPRESSION:
        try:
            return Licence(canonicalize_license_expression(text), is_expression=True)
        except (InvalidLicenseExpression, SyntaxError, RecursionError, MemoryError):
            pass
    return Licence(text.strip().partition("\n")[0].strip()[:_LONGEST_NAME], is_expression=False)


def licences(texts: Iterable[str | None]) -> tuple[Licence, ...]:
    """Return the licences that are stated by these texts, each once: one expression, or names only.

    Several expressions hold together, so they are joined by AND.
    """
    found = tuple(dict.fromkeys(licence(text) for text in texts if text and text.strip() not in _UNSTATED))
    if not found or not all(one.is_expression for one in found):
        return tuple(one._replace(is_expression=False) for one in found) if len(found) > 1 else found
    if len(found) == 1:
        return found
    joined = " AND ".join(f"({one.text})" if " OR " in one.text else one.text for one in found)
    return (Licence(joined, is_expression=True),)


def declared_licences(expression: str | None, text: str | None, classifiers: Sequence[str]) -> tuple[Licence, ...]:
    """Return the licences of a distribution by its core metadata.

    These are License-Expression, else License if it is an expression, else the classifiers, else License as a name.
    """
    if expression is not None:
        return licences([expression])
    stated = licences([text])
    if stated and stated[0].is_expression:
        return stated
    named = (one.rpartition(" :: ")[2] for one in classifiers if one.startswith(_CLASSIFIER))
    names = tuple(dict.fromkeys(Licence(name, is_expression=False) for name in named if name != "OSI Approved"))
    return names or stated
