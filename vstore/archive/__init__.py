"""Archives: one object's tree as a deterministic tar file that can be unpacked, verified and fetched in part.

The default, ``.tar.zst``, consists of zstd frames cut at file boundaries, with an index at the end
(``docs/internals/archive.md``). Plain ``tar --zstd -x`` reads it. `unpack` and `assemble` read the index instead, take
only what they need, and write only what they have verified. They do not decide whom to trust: pass the expected
manifest.
"""

from vstore.archive.assemble import assemble
from vstore.archive.check import case_collisions, check_limits
from vstore.archive.format import FOOTER_BYTES, footer_digest
from vstore.archive.index import FileReader, read_index
from vstore.archive.model import (
    ArchiveIndex,
    ByteRange,
    Compression,
    FetchPlan,
    FileOffset,
    FileSource,
    Frame,
    RangeReader,
)
from vstore.archive.pack import Packer
from vstore.archive.plan import plan_fetch
from vstore.archive.unpack import unpack
from vstore.archive.verify import ArchiveDigests, verify_archive
from vstore.fs.trees.validate import Limits
from vstore.objects import ArchiveInfo

__all__ = [
    "FOOTER_BYTES",
    "ArchiveDigests",
    "ArchiveIndex",
    "ArchiveInfo",
    "ByteRange",
    "Compression",
    "FetchPlan",
    "FileOffset",
    "FileReader",
    "FileSource",
    "Frame",
    "Limits",
    "Packer",
    "RangeReader",
    "assemble",
    "case_collisions",
    "check_limits",
    "footer_digest",
    "plan_fetch",
    "read_index",
    "unpack",
    "verify_archive",
]
