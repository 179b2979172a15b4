"""Recognise what vstore has published among the files of others. Nothing here follows a link or waits."""

from __future__ import annotations

import lzma
import os
import stat
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from vstore.archive.format import FOOTER_MAGIC
from vstore.build.layer_metadata import FACTS
from vstore.digest import parse_json
from vstore.fs.reading import open_regular, read_regular
from vstore.objects import StorePath
from vstore.publish.bundle_file import TOP

_JSON_BYTES = 64 << 20
_START_BYTES = 64 << 10
_HEAD_BYTES = 4096


def is_bundle(path: Path, _: os.stat_result) -> bool:
    """Whether it is a bundle, or the beginning of one."""
    return _top_folder(_start(path)) == TOP


def is_archive(path: Path, _: os.stat_result) -> bool:
    """Whether it is an archive that `publish` writes: with vstore's index, or below the name of a store object."""
    try:
        with open_regular(path, follow=False) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - len(FOOTER_MAGIC), 0))
            if file.read() == FOOTER_MAGIC:
                return True
    except OSError:
        return False
    with suppress(ValueError):
        return bool(StorePath.parse(_top_folder(_decompressed(_start(path))).decode()))
    return False


def is_flat_layer(folder: Path) -> bool:
    """Whether an export without links made this folder of a layer."""
    return read_json(folder / FACTS) is not None


def is_link_to_object(path: Path, status: os.stat_result) -> bool:
    """Whether it is a link to an object that lies beside it."""
    with suppress(OSError, ValueError):
        return stat.S_ISLNK(status.st_mode) and bool(StorePath.parse(os.readlink(path)))
    return False


def read_json(path: Path) -> dict[str, Any] | None:
    """The document in a JSON file; None for one that cannot be read, and for anything but a table."""
    try:
        document = parse_json(read_regular(path, limit=_JSON_BYTES, follow=False))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _start(path: Path) -> bytes:
    try:
        with open_regular(path, follow=False) as file:
            return file.read(_START_BYTES)
    except OSError:
        return b""


def _top_folder(tar: bytes) -> bytes:
    """The name of the first member of a tar archive; empty for anything else (POSIX.1-1988, ustar)."""
    return tar[:100].rstrip(b"\0").removesuffix(b"/") if tar[257:262] == b"ustar" else b""


def _decompressed(data: bytes) -> bytes:
    """The beginning of what xz or gzip made this of; empty for anything else."""
    with suppress(zlib.error):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, _HEAD_BYTES)
    with suppress(lzma.LZMAError):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data, _HEAD_BYTES)
    return b""
