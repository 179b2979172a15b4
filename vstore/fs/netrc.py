"""Logins from the user's netrc file, as curl, git and uv read it."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from vstore.fs.reading import check_regular, read_regular

_MAX_BYTES = 1 << 20


def netrc_login(host: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return user and password for a host; None if ``$NETRC``, else ``~/.netrc``, has none or is missing.

    Raises ValueError for a file that cannot be read, without quoting its content.
    """
    import netrc

    place = _place(environment)
    if place is None:
        return None
    try:
        read_regular(place, limit=_MAX_BYTES)
        found = netrc.netrc(place).authenticators(host)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeError, netrc.NetrcParseError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"line {getattr(error, 'lineno', None) or '?'}"
        raise _unreadable(place, reason) from None
    return (found[0] or found[1] or "", found[2] or "") if found else None


def check_netrc(environment: Mapping[str, str]) -> None:
    """Raise ValueError for a netrc file that another program could read for ever: a FIFO, a socket or a device."""
    place = _place(environment)
    try:
        if place is not None:
            check_regular(place)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise _unreadable(place, error.strerror) from None


def _place(environment: Mapping[str, str]) -> str | None:
    """Return the path of the netrc file, None for the null device, which is empty."""
    home = environment.get("HOME") or environment.get("USERPROFILE")
    place = environment.get("NETRC") or (f"{home}/.netrc" if home else "")
    return None if place in ("", os.devnull) else place


def _unreadable(place: str | None, reason: str | None) -> ValueError:
    return ValueError(f"the netrc file cannot be read: {Path(place or '')}: {reason}")
