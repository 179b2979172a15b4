"""zstd: the standard library's module from Python 3.14 on, and its backport before.

The module is loaded late: a no-op does not need it.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

_HARD = 16  # from this level zstd's tables take most of the memory
_TABLES = {"hash_log": 20, "chain_log": 21}  # 12 MiB a thread instead of 80, for 2 % more bytes
WINDOW_LOG = 24  # 16 MiB: a frame that needs more memory is refused


@cache
def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


@cache
def _limits() -> dict[Any, int]:
    return {_zstd().DecompressionParameter.window_log_max: WINDOW_LOG}


def library_version() -> str:
    """Return the release of libzstd, such as ``1.5.7``. Only equal releases compress equal input to equal frames."""
    return str(_zstd().zstd_version)


def compress(data: bytes, level: int = 3) -> bytes:
    """Compress to one frame with its content size and a checksum, in this thread."""
    zstd = _zstd()
    parameter = zstd.CompressionParameter
    options = {parameter.compression_level: level, parameter.checksum_flag: 1}
    if level >= _HARD:
        options |= {getattr(parameter, name): value for name, value in _TABLES.items()}
    return bytes(zstd.compress(data, options=options))


def decompress(data: bytes | memoryview, *, at_most: int) -> bytes:
    """Return the content of one frame of at most `at_most` bytes. Raises ValueError unless it is one whole frame."""
    parts = decompress_parts(data, at_most=at_most, part_bytes=max(at_most, 1))
    return parts[0] if parts else b""


def decompress_parts(data: bytes | memoryview, *, at_most: int, part_bytes: int) -> list[bytes]:
    """Like `decompress`, in parts of `part_bytes` (the last one shorter), which takes half the memory."""
    zstd = _zstd()
    reader = zstd.ZstdDecompressor(options=_limits())
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
