"""The places where a plan may be carried out: processes of this machine, or the workers of a scheduler."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from vstore.digest import parse_json
from vstore.documents import Fields
from vstore.errors import UsageError
from vstore.fs.reading import read_regular
from vstore.values import frozen

_MAX_BYTES = 1 << 20
_HINT = "a scheduler is tcp://HOST:PORT, tls://HOST:PORT, or the file that `vstore scheduler --scheduler-file` writes"


@frozen
class LocalProcesses:
    """Processes of this machine, as many as it has cores if `count` is None."""

    count: int | None = None


@frozen
class SchedulerAddress:
    """The address of a scheduler: ``tcp://HOST:PORT``, or ``tls://HOST:PORT`` with encryption."""

    url: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an address. Raises UsageError."""
        try:
            parts = urlsplit(text)
            if parts.scheme in ("tcp", "tls") and parts.hostname and parts.port and parts.netloc == text[6:]:
                return cls(url=text)
        except ValueError:
            pass
        raise UsageError(f"not the address of a scheduler: {text}", hint=_HINT)

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the address that a text is, or that the scheduler file at this path has. Raises UsageError."""
        if not text:
            raise UsageError("no scheduler given", hint=_HINT)
        if "://" in text:
            return cls.parse(text)
        try:
            return cls.parse(Fields(parse_json(read_regular(Path(text), limit=_MAX_BYTES))).text("address"))
        except OSError as error:
            raise UsageError(f"scheduler file cannot be read: {text}: {error.strerror}", hint=_HINT) from error
        except ValueError as error:
            raise UsageError(f"not a scheduler file: {text}: {error}", hint=_HINT) from error

    @property
    def is_encrypted(self) -> bool:
        """Whether connections use TLS."""
        return self.url.startswith("tls://")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(urlsplit(self.url).hostname or "")


def parse_place(text: str) -> LocalProcesses | SchedulerAddress:
    """Parse the place of ``--on``: ``local``, ``local[N]``, or a scheduler. Raises UsageError."""
    if found := re.fullmatch(r"local(?:\[([1-9][0-9]{0,3})\])?", text):
        return LocalProcesses(count=int(found[1]) if found[1] else None)
    if text.startswith("local[") and not Path(text).exists():
        raise UsageError(f"--on {text}: no such place", hint="`--on 'local[4]'` builds in four processes")
    return SchedulerAddress.of(text)


def is_loopback(host: str) -> bool:
    """Return whether a host name or an IP address is that of this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
