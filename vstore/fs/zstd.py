"""The door to zstd: the standard library's from 3.14 on, before that its backport. One API.

The module is loaded late: a run that changes nothing does without it.
"""

from __future__ import annotations

import sys
from typing import Any

_HARD = 16  # from this level on zstd's tables take most of the memory
_TABLES = {"hash_log": 20, "chain_log": 21}  # 12 MiB a thread instead of 80, for 2 % more bytes
WINDOW_LOG = 24  # 16 MiB: a frame that asks for more memory is refused


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def library_version() -> str:
    """The release of libzstd, such as ``1.5.7``: equal input gives equal frames only with equal releases."""
    return str(_zstd().zstd_version)


def compress(data: bytes, level: int = 3) -> bytes:
    """One frame with its content size and a checksum, in this thread."""
    zstd = _zstd()
    parameter = zstd.CompressionParameter
    options = {parameter.compression_level: level, parameter.checksum_flag: 1}
    if level >= _HARD:
        options |= {getattr(parameter, name): value for name, value in _TABLES.items()}
    return bytes(zstd.compress(data, options=options))


def decompress(data: bytes | memoryview, *, at_most: int) -> bytes:
    """The content of exactly one frame; ValueError if it is damaged, cut off, followed by something or longer."""
    parts = decompress_parts(data, at_most=at_most, part_bytes=max(at_most, 1))
    return parts[0] if parts else b""


def decompress_parts(data: bytes | memoryview, *, at_most: int, part_bytes: int) -> list[bytes]:
    """The same in parts of this length, the last one of what is left: takes half the memory."""
    zstd = _zstd()
    reader = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG})
    parts: list[bytes] = []
    left = at_most
    try:
        while not reader.eof and (data or not reader.needs_input):
            part = reader.decompress(data, max_length=min(part_bytes, left) or 1)
            data = b""
            left -= len(part)
            if left < 0:
                raise ValueError(f"more than {at_most} bytes of content")
            if part:
                parts.append(part)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
    if not reader.eof or reader.unused_data:
        raise ValueError("not one whole zstd frame")
    return parts
