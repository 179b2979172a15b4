"""Logins from the user's netrc file, as curl, git and uv read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vstore.fs.reading import read_regular

_MAX_BYTES = 1 << 20


def netrc_login(host: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return user and password for a host; None if ``$NETRC``, else ``~/.netrc``, has none or is not there.

    Raises ValueError for a file that cannot be read, without quoting its content.
    """
    import netrc

    home = environment.get("HOME") or environment.get("USERPROFILE")
    place = environment.get("NETRC") or (f"{home}/.netrc" if home else "")
    if not place:
        return None
    try:
        read_regular(place, limit=_MAX_BYTES)
        found = netrc.netrc(place).authenticators(host)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeError, netrc.NetrcParseError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"line {getattr(error, 'lineno', None) or '?'}"
        raise ValueError(f"the netrc file cannot be read: {Path(place)}: {reason}") from None
    return (found[0] or found[1] or "", found[2] or "") if found else None
