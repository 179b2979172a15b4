"""Check the destination of a push: a folder that is to become a cache."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vstore.errors import CacheError, UsageError
from vstore.fs.place import check_output_folder
from vstore.remote.file_cache import layout
from vstore.remote.file_cache.reading import read_record
from vstore.remote.records.encoding import decode_object
from vstore.remote.transport.folder import TEMPORARY
from vstore.remote.transport.protocol import Transport, listing

_MAX_TRIED = 20


def check_destination(transport: Transport, store: Path) -> None:
    """Raise UsageError for a folder that lies in the store or contains other files than a cache's."""
    parts = urlsplit(transport.url)
    if parts.scheme != "file":
        return
    folder = Path(unquote(parts.path))
    check_output_folder(folder, store=store)
    names = {name for name in os.listdir(folder) if not name.startswith(TEMPORARY)} if folder.is_dir() else set()
    if names and not (names <= {*layout.FOLDERS, layout.CACHE_FILE} and _has_record(transport)):
        raise UsageError(f"neither a cache nor an empty folder: {folder}", hint="give an empty or a new folder")


def _has_record(transport: Transport) -> bool:
    """Return whether one of the first records is sound: then it is a cache that lost its ``vstore-cache.json``."""
    for stat in islice(listing(transport).scan("objects"), _MAX_TRIED):
        with suppress(CacheError):
            if read_record(transport, transport.url, stat.key, decode_object) is not None:
                return True
    return False
