"""Sign the channels of clients on a worker.

A worker signs only the record of a channel that a key it trusts has signed, for a stack that the cache has whole, and
that enough keys which it trusts state as the object of its recipe.
"""

from __future__ import annotations

import asyncio

from vstore.cluster.tasks import ChannelTask
from vstore.cluster.worker.work import NodeWorker, serving
from vstore.errors import CacheError, VstoreError
from vstore.objects import StorePath
from vstore.plural import count
from vstore.remote import Cache, Signer, Trust, trust_of
from vstore.remote.maintenance.integrity import quick_archive_fault
from vstore.remote.records.model import ObjectRecord
from vstore.remote.sync.pull import read_closure
from vstore.store import Store


async def sign_channel(task: str) -> str:
    """Sign the record of a channel on a worker. Return the reason if the worker does not, else an empty text."""

    def sign() -> str:
        try:
            sign_on(serving(), ChannelTask.parse(task))
        except (VstoreError, OSError) as error:
            return str(error)
        return ""

    return await asyncio.to_thread(sign)


def sign_on(worker: NodeWorker, task: ChannelTask) -> None:
    """Sign the record of a channel with a key of a worker. Raises CacheError for a record that it does not sign."""
    with Store.open(worker.root, create=False) as store:
        keys = tuple(key for key in worker.keys if key.name == task.signer)
        trust = trust_of(store.config, [str(key.public) for key in worker.keys])
        cache, _ = worker.open_cache(store, task.cache)
        signer, wanted = Signer(keys, trust), task.channel
        found = cache.channel(wanted.name, signer.known)
        if found is None or found.fingerprint != wanted.fingerprint or not trust.signers(found):
            raise CacheError(f"no trusted key has signed number {wanted.number} of channel {wanted.name} as it is")
        stated = cache.realisation(task.recipe, trust)
        if stated is None or stated.path != wanted.path or not trust.trusts(stated):
            raise CacheError(f"{count(trust.require, 'trusted key')} must state {wanted.path} for its recipe")
        check_complete(cache, wanted.path, trust)
        cache.writer.sign_channel(found, signer)


def check_complete(cache: Cache, top: StorePath, trust: Trust) -> ObjectRecord:
    """Return the record of an object. Raises CacheError unless the cache has it and all that it refers to."""

    def read(path: StorePath) -> ObjectRecord:
        record = cache.object(path, trust)
        fault = "is not there" if record is None else quick_archive_fault(cache, record)
        if record is None or fault is not None:
            raise CacheError(f"{cache.name} does not have all of {top}: {path} {fault}", hint="run the command again")
        return record

    return read_closure(cache, [top], read)[top]
