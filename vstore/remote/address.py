"""Open the cache that a user names: by its name in config.toml, a URL, or a folder."""

from __future__ import annotations

import os
import re
from functools import partial
from urllib.parse import quote, urlsplit

from vstore.cancel import CancelToken
from vstore.config import CacheConfig
from vstore.errors import UsageError, suggestion
from vstore.fs.paths import absolute
from vstore.oci.reference import names_registry
from vstore.remote.file_cache import FileCache
from vstore.remote.records.cache import Cache
from vstore.remote.registry_cache import ImageCache, RegistryCache
from vstore.remote.transport.protocol import PATIENT, RequestLimits
from vstore.remote.transport.registry import RegistryTransport
from vstore.remote.transport.retry import RetryingTransport
from vstore.remote.transport.schemes import TRANSPORTS, open_transport
from vstore.reporter import Detail, NullReporter, Reporter

_NEARLY_URL = re.compile(rf"(?:{'|'.join(TRANSPORTS)}):|https?//|[^/]*:.*@|[^:@]*//[^/]*:.*@", re.IGNORECASE)
_NO_URL = re.compile(r"[\s\"<>\\^`{|}]")


def open_cache(
    text: str,
    known: tuple[CacheConfig, ...] = (),
    *,
    limits: RequestLimits = PATIENT,
    cancel: CancelToken | None = None,
    reporter: Reporter | None = None,
) -> Cache:
    """Return the cache that `text` names, without a request. Raises UsageError if it names none.

    Setting `cancel` ends all requests, which have `limits` and are details for the `reporter`.
    """
    config = next((one for one in known if one.name == text), None)
    url = _url(config.url if config else text, named=config is not None, names=[one.name for one in known])
    cancel = cancel or CancelToken()
    transport = open_transport(url, config.options if config else {}, limits=limits, cancel=cancel)
    detail = partial((reporter or NullReporter()).detail, kind=Detail.CALL)
    retrying = RetryingTransport(transport, limits, sleep=cancel.wait, on_request=detail)
    name = config.name if config else None
    if not isinstance(transport, RegistryTransport):
        return FileCache(retrying, name=name, cancel=cancel)
    if transport.reference.tag or transport.reference.digest:
        return ImageCache(retrying, transport.reference, name=name, cancel=cancel)
    return RegistryCache(retrying, name=name, cancel=cancel)


def _url(text: str, *, named: bool, names: list[str]) -> str:
    """Return the URL, well-formed, of a URL or a folder. No error repeats a possible login."""
    url = text
    if "://" not in url:
        if not named and "/" not in url and url not in (".", ".."):
            hint = f"names in config.toml: {', '.join(names) or 'none yet'}; or give a URL, or a folder (./{url})"
            raise UsageError(f"no such cache: {url}", hint=suggestion(url, names) + hint)
        if _NEARLY_URL.match(url):
            raise UsageError("neither a URL nor a folder: it lacks ://", hint="a folder is also written file:///…")
        if not named and names_registry(url) and not os.path.exists(url.partition("/")[0]):
            hint = f"write oci://{url} for a registry, ./{url} for a folder"
            raise UsageError(f"neither a URL nor an existing folder: {url}", hint=hint)
        url = absolute(url).as_uri()
    if not url.startswith("file:") and (found := _NO_URL.search(url)):
        raise UsageError(f"not a URL: it contains {found[0]!r}", hint=f"percent-encode it: {quote(found[0])}")
    try:
        _ = urlsplit(url).port
    except ValueError:
        hint = "a login is followed by @ and the host"
        raise UsageError("not a URL: its host or port is malformed", hint=hint) from None
    return url
