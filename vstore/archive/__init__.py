"""Archives: one object's tree as a deterministic tar file that can be unpacked, checked and fetched in part.

The default, ``.tar.zst``, is made of zstd frames cut at file boundaries with an index at the end
(``docs/archive.md``). Anyone's ``tar --zstd -x`` reads it; `unpack` and `assemble` read the index instead,
take only what they need, and write nothing that was not verified. Who may trust an archive is not
decided here: give `unpack` and `assemble` the manifest that is expected.
"""

from vstore.archive.assemble import assemble
from vstore.archive.check import case_collisions, check_cost
from vstore.archive.format import FOOTER_BYTES, footer_digest
from vstore.archive.index import FileReader, read_index
from vstore.archive.model import (
    ArchiveInfo,
    ByteRange,
    Compression,
    FetchPlan,
    Frame,
    Index,
    Place,
    RangeReader,
)
from vstore.archive.pack import pack
from vstore.archive.plan import plan_fetch
from vstore.archive.unpack import unpack
from vstore.archive.whole import check_whole
from vstore.fs.trees.validate import Limits

__all__ = [
    "FOOTER_BYTES",
    "ArchiveInfo",
    "ByteRange",
    "Compression",
    "FetchPlan",
    "FileReader",
    "Frame",
    "Index",
    "Limits",
    "Place",
    "RangeReader",
    "assemble",
    "case_collisions",
    "check_cost",
    "check_whole",
    "footer_digest",
    "pack",
    "plan_fetch",
    "read_index",
    "unpack",
]
