"""From what a user writes to a cache: a name in config.toml, a URL, or a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vstore.config import CacheConfig
from vstore.errors import UsageError
from vstore.fs.paths import absolute
from vstore.fs.place import check_output_folder
from vstore.remote import layout
from vstore.remote.cache import Cache
from vstore.remote.objectstore import SCHEMES, ObjectStoreTransport
from vstore.remote.patience import Patient
from vstore.stop import Stop


def open_cache(
    text: str, known: tuple[CacheConfig, ...] = (), *, hasty: bool = False, stop: Stop | None = None
) -> Cache:
    """The cache that `text` names. UsageError if it is nothing of the kind.

    A `hasty` one gives up soon, for when there is another way to what is asked for. Setting `stop` ends all waiting.
    """
    config = next((one for one in known if one.name == text), None)
    url = config.url if config else text
    if "://" not in url:
        if config is None and "/" not in url and url not in (".", ".."):
            names = ", ".join(one.name for one in known) or "none yet"
            raise UsageError(f"no such cache: {text}", hint=f"give a URL or a folder; names in config.toml: {names}")
        url = absolute(url).as_uri()
    if not url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        raise UsageError(f"not a cache that can be reached: {url}", hint=f"URLs start with {'://, '.join(SCHEMES)}://")
    parts = urlsplit(url)
    if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path.startswith("/")):
        raise UsageError(f"not the URL of a folder: {url}", hint="write file:///the/whole/path, or the path alone")
    options = config.options if config else {}
    stop = stop or Stop()
    if hasty:
        quick = ObjectStoreTransport(url, options, stall_seconds=8.0, record_seconds=10.0, stop=stop)
        transport = Patient(quick, attempts=2, patience_seconds=10.0, failures=1, sleep=stop.wait)
    else:
        transport = Patient(ObjectStoreTransport(url, options, stop=stop), sleep=stop.wait)
    return Cache(transport, name=config.name if config else None, stop=stop)


def check_target(cache: Cache, store: Path) -> None:
    """Raise UsageError for a folder that is to become a cache, and is in the store or holds other things already."""
    parts = urlsplit(cache.url)
    if parts.scheme != "file" or cache.exists():
        return
    folder = Path(unquote(parts.path))
    check_output_folder(folder, store=store)
    begun = re.compile(re.escape(layout.CACHE_FILE) + r"#\d+")  # of a push that was killed
    if os.path.lexists(folder) and any(not begun.fullmatch(name) for name in os.listdir(folder)):
        raise UsageError(f"neither a cache nor an empty folder: {folder}", hint="give an empty or a new folder")
