"""Check the destination of a push: a cache, or an empty folder that becomes one."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vstore.errors import CacheError, UsageError
from vstore.fs.place import check_output_folder
from vstore.remote.records import layout
from vstore.remote.records.cache import Cache
from vstore.remote.records.encoding import decode_object
from vstore.remote.transport.folder import TEMPORARY
from vstore.remote.transport.protocol import TransportError

_MAX_TRIED = 20


def check_destination(cache: Cache, store: Path) -> None:
    """Raise UsageError for a folder that is no cache and either lies in the store or contains other files."""
    parts = urlsplit(cache.url)
    if parts.scheme != "file" or _is_cache(cache):
        return
    folder = Path(unquote(parts.path))
    check_output_folder(folder, store=store)
    names = {name for name in os.listdir(folder) if not name.startswith(TEMPORARY)} if folder.is_dir() else set()
    if names and not (names <= {*layout.FOLDERS, layout.CACHE_FILE} and _has_record(cache)):
        raise UsageError(f"neither a cache nor an empty folder: {folder}", hint="give an empty or a new folder")


def _is_cache(cache: Cache) -> bool:
    """Return whether a cache of any release is there, with a sound ``vstore-cache.json``."""
    try:
        return cache.exists()
    except TransportError:
        raise
    except CacheError:
        return cache.has_format()


def _has_record(cache: Cache) -> bool:
    """Return whether one of the first records is sound: then it is a cache that lost its ``vstore-cache.json``."""
    for stat in islice(cache.lister.scan("objects"), _MAX_TRIED):
        with suppress(CacheError):
            if cache.read(stat.key, decode_object) is not None:
                return True
    return False
