"""Recognise the outputs of earlier runs among the files of others. No function follows a link or blocks on a FIFO."""

from __future__ import annotations

import lzma
import os
import stat
import zlib
from contextlib import suppress
from pathlib import Path

from vstore.archive.format import FOOTER_MAGIC
from vstore.digest import parse_json
from vstore.fs.reading import open_regular, read_regular, read_start
from vstore.objects import LAYER_FILE, StorePath
from vstore.oci.layout import LAYOUT, LAYOUT_FILE
from vstore.publish.bundle_transport import TOP

_JSON_BYTES = 64 << 20
_START_BYTES = 64 << 10
_HEAD_BYTES = 4096


def is_bundle(path: Path, _: os.stat_result) -> bool:
    """Whether a file is a bundle, or the beginning of one."""
    return _top_folder(read_start(path, _START_BYTES)) == TOP


def is_archive(path: Path, _: os.stat_result) -> bool:
    """Whether a file is a published archive: it has the index of vstore, or a top folder named by a store path."""
    try:
        with open_regular(path, follow=False) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - len(FOOTER_MAGIC), 0))
            if file.read() == FOOTER_MAGIC:
                return True
    except OSError:
        return False
    with suppress(ValueError):
        return bool(StorePath.parse(_top_folder(_decompressed(read_start(path, _START_BYTES))).decode()))
    return False


def is_layout_file(path: Path, _: os.stat_result) -> bool:
    """Whether a file is an OCI layout that vstore wrote, or the beginning of one: others begin with a folder."""
    start = read_start(path, _START_BYTES)
    return _top_folder(start) == LAYOUT_FILE.encode() and start[512:].startswith(LAYOUT)


def is_flat_layer(folder: Path) -> bool:
    """Whether a folder is a layer that was exported without links."""
    return read_json(folder / LAYER_FILE) is not None


def is_link_to_object(path: Path, status: os.stat_result) -> bool:
    """Whether it is a link to an object in the same folder."""
    with suppress(OSError, ValueError):
        return stat.S_ISLNK(status.st_mode) and bool(StorePath.parse(os.readlink(path)))
    return False


def read_json(path: Path) -> dict[str, object] | None:
    """Return the object in a JSON file; None if the file cannot be read or holds anything else."""
    try:
        document = parse_json(read_regular(path, limit=_JSON_BYTES, follow=False))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _top_folder(tar: bytes) -> bytes:
    """Return the name of the first member of a tar archive (POSIX.1-1988, ustar); empty for anything else."""
    return tar[:100].rstrip(b"\0").removesuffix(b"/") if tar[257:262] == b"ustar" else b""


def _decompressed(data: bytes) -> bytes:
    """Return the beginning of data that xz or gzip compressed; empty for anything else."""
    with suppress(zlib.error):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, _HEAD_BYTES)
    with suppress(lzma.LZMAError):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data, _HEAD_BYTES)
    return b""
