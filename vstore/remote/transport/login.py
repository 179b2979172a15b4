"""The user and the password for a server, from its URL or the netrc file."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from vstore.fs.netrc import netrc_login
from vstore.remote.transport.protocol import TransportError


def user_login(url: str) -> tuple[str, str] | None:
    """Return the user and the password in a URL, else those of the netrc file for its host.

    Raises TransportError for a netrc file that cannot be read.
    """
    parts = urlsplit(url)
    if parts.username is not None:
        return unquote(parts.username), unquote(parts.password or "")
    try:
        return netrc_login(parts.hostname or "", os.environ)
    except ValueError as error:
        raise TransportError(str(error)) from None


def basic_header(user: str, password: str) -> dict[str, str]:
    """Return the header of HTTP's basic authentication (RFC 7617)."""
    from base64 import b64encode

    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
