"""Push an SBOM to a cache, and fetch one.

The digest of an object does not prove its SBOM, so trusted keys must have signed the SBOM's record.
"""

from __future__ import annotations

from functools import partial

from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote.maintenance.integrity import FILE_NAME, file_fault
from vstore.remote.records.cache import Cache, attempt, check_exists
from vstore.remote.records.channels import rejection_hint
from vstore.remote.records.encoding import MAX_SBOM_BYTES
from vstore.remote.records.model import SbomRecord
from vstore.remote.records.trust import Signer, Trust
from vstore.remote.sync.reuse import ReuseCheck
from vstore.remote.transport.protocol import TransportError
from vstore.sbom_format import Sbom, SbomFormat
from vstore.sizes import size
from vstore.store import Store


def push_sbom(cache: Cache, sbom: Sbom, signer: Signer, reuse: ReuseCheck) -> tuple[SbomRecord, int]:
    """Attach an SBOM to its object in the cache. Return its record and the bytes that were sent.

    Nothing is sent if the cache has this SBOM, whole and signed by these keys. Raises CacheError.
    """
    if len(sbom.data) > MAX_SBOM_BYTES:
        raise CacheError(f"the SBOM of {sbom.path} is larger than {size(MAX_SBOM_BYTES)}, the limit of a cache")
    record = SbomRecord.of(sbom)
    if reuse.has_sbom(record):
        return record, 0
    replaced = cache.writer.put_sbom(record, sbom.data, signer)
    if replaced:
        reuse.warn(f"the SBOM of {sbom.path} as {sbom.format}", f"{', '.join(replaced)} had signed another one")
    return record, record.size_bytes


def fetch_sbom(store: Store, cache: Cache, path: StorePath, form: SbomFormat, trust: Trust) -> Sbom:
    """Fetch the SBOM that is attached to an object, and verify it.

    Raises CacheError if there is none, if it is damaged, or if too few trusted keys have signed its record.
    """
    check_exists(cache)
    record = cache.sbom(path, form, trust)
    if record is None:
        raise _missing(cache, path, form, trust)
    reason = trust.rejection(record)
    if reason is not None:
        hint = rejection_hint(record, trust, store.layout)
        raise CacheError(f"the SBOM of {path} in {cache.name} is refused: {reason}", hint=hint)
    with store.staging("sbom") as folder:
        fault = file_fault(cache, record, folder)
        if fault is not None:
            hint = (
                f"`vstore push {cache.name} WHAT --sbom {form} --verify`, from a store that has the object, replaces it"
            )
            raise CacheError(f"{cache.file(record).url} {fault}", hint=hint)
        return Sbom(path, form, (folder / FILE_NAME).read_bytes())


def _missing(cache: Cache, path: StorePath, form: SbomFormat, trust: Trust) -> CacheError:
    """Return the error for an SBOM that a cache does not have: it tells of one in another format."""
    message = f"{cache.name} has no SBOM of {path} as {form}"
    others = [
        other for other in SbomFormat if other is not form and attempt(partial(cache.sbom, path, other, trust))[0]
    ]
    if others:
        return CacheError(f"{message}, but one as {others[0]}", hint=f"give --format {others[0]}")
    try:
        _ = cache.writer
    except TransportError as error:  # an image
        return CacheError(message, hint=f"a cache has it after `vstore push CACHE WHAT --sbom {form}`; {error.hint}")
    return CacheError(message, hint=f"`vstore push {cache.name} WHAT --sbom {form}` attaches one")
