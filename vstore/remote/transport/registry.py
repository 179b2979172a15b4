"""From what a user writes to a cache: a name in config.toml, a URL, or a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from vstore.cancel import CancelToken
from vstore.config import CacheConfig
from vstore.credentials import public_url
from vstore.errors import CacheError, UsageError
from vstore.fs.paths import absolute
from vstore.fs.place import check_output_folder
from vstore.remote.records import layout
from vstore.remote.records.cache import Cache
from vstore.remote.records.encoding import decode_object
from vstore.remote.transport.objectstore import SCHEMES as STORES
from vstore.remote.transport.objectstore import ObjectStoreTransport
from vstore.remote.transport.protocol import Transport, TransportError
from vstore.remote.transport.retry import RetryingTransport
from vstore.remote.transport.web import SCHEMES as WEB
from vstore.remote.transport.web import WebTransport

_MOST_TRIED = 20
_NEARLY_URL = re.compile(r"(?:https?|s3|gs|az|file):|https?//|[^/]*:.*@|[^:@]*//[^/]*:.*@", re.IGNORECASE)
_NO_URL = re.compile(r"[\s\"<>\\^`{|}]")
_SCHEMES = ("file", *WEB, *STORES[1:])


def open_cache(
    text: str, known: tuple[CacheConfig, ...] = (), *, hasty: bool = False, cancel: CancelToken | None = None
) -> Cache:
    """The cache that `text` names. UsageError if it is nothing of the kind.

    A `hasty` one gives up soon, for when there is another way to what is asked for. Setting `cancel` ends all waiting.
    """
    config = next((one for one in known if one.name == text), None)
    url = config.url if config else text
    if "://" not in url:
        if config is None and "/" not in url and url not in (".", ".."):
            names = ", ".join(one.name for one in known) or "none yet"
            hint = f"give a URL or a folder (./{text}); names in config.toml: {names}"
            raise UsageError(f"no such cache: {text}", hint=hint)
        if _NEARLY_URL.match(url):  # it may hold a login, and no folder's name is to
            raise UsageError("neither a URL nor a folder: it lacks ://", hint="a folder is also written file:///…")
        url = absolute(url).as_uri()
    if not url.startswith("file:") and (found := _NO_URL.search(url)):
        raise UsageError(f"not a URL: it holds {found[0]!r}", hint=f"percent-encode it: {quote(found[0])}")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        hint = "a login is followed by @ and the host"
        raise UsageError("not a URL: its host or port is malformed", hint=hint) from None  # it may be a login
    if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path.startswith("/")):
        raise UsageError(f"not the URL of a folder: {url}", hint="write file:///the/whole/path, or the path alone")
    options = config.options if config else {}
    cancel = cancel or CancelToken()
    if hasty:
        quick = open_transport(url, options, stall_seconds=8.0, record_seconds=10.0, cancel=cancel)
        transport = RetryingTransport(quick, attempts=2, patience_seconds=10.0, failures=1, sleep=cancel.wait)
    else:
        transport = RetryingTransport(open_transport(url, options, cancel=cancel), sleep=cancel.wait)
    return Cache(transport, name=config.name if config else None, cancel=cancel)


def check_target(cache: Cache, store: Path) -> None:
    """Raise UsageError for a folder that is to become a cache, and is in the store or holds other things already."""
    parts = urlsplit(cache.url)
    if parts.scheme != "file" or _is_there(cache):
        return
    folder = Path(unquote(parts.path))
    check_output_folder(folder, store=store)
    begun = re.compile(re.escape(layout.CACHE_FILE) + r"#\d+")  # of a push that was killed
    names = [name for name in os.listdir(folder) if not begun.fullmatch(name)] if os.path.lexists(folder) else []
    if names and not ({*names} <= {*layout.FOLDERS, layout.CACHE_FILE} and _has_record(cache)):
        raise UsageError(f"neither a cache nor an empty folder: {folder}", hint="give an empty or a new folder")


def _is_there(cache: Cache) -> bool:
    """Whether a cache is there, of whatever release; not if its own file is damaged."""
    try:
        return cache.exists()
    except TransportError:
        raise
    except CacheError:
        return cache.has_format()


def _has_record(cache: Cache) -> bool:
    """Whether what lies there, without the file that makes it a cache, is what a cache holds: some record is sound."""
    for stat in islice(cache.transport.scan("objects"), _MOST_TRIED):
        with suppress(CacheError):
            if cache.read(stat.key, decode_object) is not None:
                return True
    return False


def open_transport(
    url: str,
    options: Mapping[str, str] | None = None,
    *,
    stall_seconds: float = 15.0,
    record_seconds: float = 30.0,
    ranges_seconds: float = 60.0,
    cancel: CancelToken | None = None,
) -> Transport:
    """The transport for a URL, with these limits of time for requests. UsageError if there is none."""
    scheme = urlsplit(url).scheme
    if scheme not in _SCHEMES or "://" not in url:
        raise UsageError(
            f"not a cache that can be reached: {public_url(url)}", hint=f"URLs start with {'://, '.join(_SCHEMES)}://"
        )
    kind = WebTransport if scheme in WEB else ObjectStoreTransport
    return kind(
        url,
        options,
        stall_seconds=stall_seconds,
        record_seconds=record_seconds,
        ranges_seconds=ranges_seconds,
        cancel=cancel,
    )
