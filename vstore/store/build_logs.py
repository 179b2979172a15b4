"""Build logs: one compressed file for each recipe that was built here."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from vstore.credentials import redact
from vstore.digest import Digest
from vstore.store.layout import StoreLayout

_MAX_BYTES = 1 << 28


def write_log(layout: StoreLayout, recipe: Digest, lines: Iterable[str]) -> None:
    """Write the log of a build, without logins. It is not flushed; the log of a later build replaces it."""
    data = zlib.compress(redact("\n".join(lines)).encode())
    with layout.opened(layout.logs) as logs:
        logs.write(layout.log(recipe).name, data, durable=False)


def read_log(layout: StoreLayout, recipe: Digest) -> str | None:
    """Return the log of the build of a recipe; None if it was not built here."""
    try:
        with layout.opened(layout.logs) as logs:
            return zlib.decompress(logs.read(layout.log(recipe).name, limit=_MAX_BYTES)).decode()
    except FileNotFoundError:
        return None
