"""The rows of packed archives: enough to name the archive of an object without packing it again."""

from __future__ import annotations

from vstore.digest import Digest
from vstore.objects import ArchiveInfo, StorePath
from vstore.store.index.connection import Database, blob, count


class PackedArchiveIndex:
    """The archives that were packed from each object, of each level the last one.

    Their bytes follow from the object, the level and the version of the packer, so a row of another version does not
    count.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, path: StorePath, level: int, packer: str) -> ArchiveInfo | None:
        """Return the archive of an object; None if this version of the packer has not packed it."""
        sql = """SELECT archives.size_bytes, sha256, diff_id, index_digest, content_bytes
                 FROM archives JOIN objects ON id = object WHERE path = ? AND level = ? AND packer = ?"""
        return next(iter(self._database.read(_info, sql, str(path), level, packer)), None)

    def record(self, path: StorePath, level: int, packer: str, made: ArchiveInfo) -> None:
        """Record the archive of a registered object. After a power cut it may be missing. Raises StoreError."""
        assert made.index_digest is not None
        sql = "INSERT OR REPLACE INTO archives SELECT id, ?, ?, ?, ?, ?, ?, ? FROM objects WHERE path = ?"
        digests = (bytes.fromhex(made.sha256), bytes.fromhex(made.diff_id), made.index_digest.raw)
        with self._database.transaction(durable=False) as connection:
            connection.execute(sql, (level, packer, made.size_bytes, *digests, made.content_bytes, str(path)))


def _info(size_bytes: object, sha256: object, diff_id: object, index_digest: object, content: object) -> ArchiveInfo:
    return ArchiveInfo(
        size_bytes=count(size_bytes),
        sha256=blob(sha256).hex(),
        diff_id=blob(diff_id).hex(),
        index_digest=Digest(blob(index_digest)),
        content_bytes=count(content),
    )
