"""Serves the file of a disk that remembers: ``python -m scripts.reliability.crashes.disk_server FOLDER LOG SIZE``.

The log is a sequence of writes, each a head and its bytes, and of flushes, which are heads alone.
"""

from __future__ import annotations

import errno
import stat
import struct
import sys
from pathlib import Path

HEAD = struct.Struct(">QI")  # offset and length of a write
FLUSH = 2**64 - 1  # instead of an offset


def serve(folder: str, log: Path, size: int) -> None:
    import mfusepy  # only where a disk is made: the library may be missing elsewhere

    class Disk(mfusepy.Operations):  # type: ignore[misc]
        """One file called ``disk``, in memory; every write and flush goes to the log before it is answered."""

        use_ns = True

        def __init__(self, log: Path, size: int) -> None:
            self._data = bytearray(size)
            self._log = log.open("wb", buffering=0)

        def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            if path == "/disk":
                return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": len(self._data)}
            raise mfusepy.FuseOSError(errno.ENOENT)

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", "disk"]

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return bytes(self._data[offset : offset + size])

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            self._log.write(HEAD.pack(offset, len(data)) + data)
            self._data[offset : offset + len(data)] = data
            return len(data)

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            self._log.write(HEAD.pack(FLUSH, 0))
            return 0

    mfusepy.FUSE(Disk(log, size), folder, foreground=True, nothreads=True)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
