"""Logins in URLs: found, so that they can be refused where they would be written down, and hidden in messages."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://)(?!git@)[^/?#\s\"'`@]+@(?=[^/?#\s\"'`@])", re.ASCII)
_QUERY = re.compile(
    r"(?<=[?&#])([^=&#\s]*(?:token|secret|passw|signature|credential|api[-_]?key|auth)[^=&#\s]*|sig|key)=[^&#\s\"'`]+",
    re.IGNORECASE,
)
HIDDEN = "***"


def has_credentials(url: str) -> bool:
    """Whether a URL holds a login: a user or password before the host, or a token among its parameters."""
    return _USERINFO.search(url) is not None or _QUERY.search(url) is not None


def redact(text: str) -> str:
    """The text with ``***`` instead of every login in a URL."""
    return _QUERY.sub(rf"\1={HIDDEN}", _USERINFO.sub(f"{HIDDEN}@", text))


def without_login(url: str) -> str:
    """The URL without user and password; its parameters stay."""
    return _USERINFO.sub("", url)
