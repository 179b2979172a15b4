"""The table of transports: which class serves which URL scheme."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol
from urllib.parse import urlsplit

from vstore.cancel import CancelToken
from vstore.credentials import public_url
from vstore.errors import UsageError
from vstore.remote.transport.bucket import BucketTransport
from vstore.remote.transport.folder import FolderTransport
from vstore.remote.transport.protocol import PATIENT, RequestLimits, Transport
from vstore.remote.transport.registry import RegistryTransport
from vstore.remote.transport.web import WebTransport


class TransportClass(Protocol):
    """A transport's class: its URL schemes, and its constructor, which makes no request."""

    schemes: tuple[str, ...]

    def __call__(
        self, url: str, options: Mapping[str, str], limits: RequestLimits, cancel: CancelToken, /
    ) -> Transport:
        """Return the transport for a URL, with the options of the cache in config.toml. Raises UsageError."""


_CLASSES: tuple[TransportClass, ...] = (
    FolderTransport,
    WebTransport,
    BucketTransport,
    RegistryTransport,
)
TRANSPORTS: Mapping[str, TransportClass] = MappingProxyType({s: one for one in _CLASSES for s in one.schemes})


def open_transport(
    url: str,
    options: Mapping[str, str] | None = None,
    *,
    limits: RequestLimits = PATIENT,
    cancel: CancelToken | None = None,
) -> Transport:
    """Return the transport for a URL. Raises UsageError if none serves it. Setting `cancel` ends its requests."""
    made = TRANSPORTS.get(urlsplit(url).scheme)
    if made is None or "://" not in url:
        schemes = ", ".join(f"{scheme}://" for scheme in TRANSPORTS)
        raise UsageError(f"not a cache URL: {public_url(url)}", hint=f"URLs start with {schemes}")
    return made(url, options or {}, limits, cancel or CancelToken())
