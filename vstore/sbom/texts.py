"""Untrusted texts in the forms that the formats of SBOMs accept."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from urllib.parse import quote

from vstore.credentials import without_login

_LONGEST = 2000
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PURL = re.compile(r"pkg:[A-Za-z][A-Za-z0-9.+-]*/[!-~]+")


def clean(text: str | None, *, limit: int | None = _LONGEST) -> str | None:
    """Return a text without control characters and blanks around it, None if nothing is left."""
    return _CONTROL.sub("", text[:limit]).strip() or None if text else None


def web_url(text: str | None) -> str | None:
    """Return a URL of the web without login, parameters and fragment; None for any other text."""
    found = without_login(text.strip()).partition("#")[0].partition("?")[0] if text and len(text) <= _LONGEST else ""
    return found if _URL.fullmatch(found) else None


def package_url(text: str | None) -> str | None:
    """Return a package URL (ECMA-427) if the text has the form of one, else None."""
    return text if text and len(text) <= _LONGEST and _PURL.fullmatch(text) else None


def python_package_url(name: str, version: str) -> str:
    """Return the package URL of a distribution by its normalised name."""
    return f"pkg:pypi/{quote(name, safe='')}@{quote(version, safe='')}"


def interpreter_cpe(version: str) -> str | None:
    """Return the name of a version of CPython in the list of products that advisories use (CPE 2.3)."""
    return f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*" if re.fullmatch(r"[0-9a-z.]+", version) else None


def interpreter_package_url(implementation: str, version: str) -> str:
    """Return the package URL of an interpreter."""
    return f"pkg:generic/{quote(implementation, safe='')}@{quote(version, safe='')}"


def sha256_hash(text: str | None) -> dict[str, str]:
    """Return a SHA-256 digest by the name of its algorithm, nothing for a text that is none."""
    return {"SHA-256": text} if text and _SHA256.fullmatch(text) else {}


def printable(path: str) -> str:
    """Return the path of a file as text, with escapes for bytes that are not UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def rfc3339(moment: datetime) -> str:
    """Return a time in UTC in whole seconds, as both formats want it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
