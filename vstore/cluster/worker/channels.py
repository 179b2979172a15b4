"""Sign the channels of clients on a worker.

A worker signs only the record of a channel that a key it trusts has signed, for a stack that the cache has whole, and
that enough keys which it trusts state as the object of its recipe.
"""

from __future__ import annotations

import asyncio
from typing import Self

from vstore.cluster.tasks import PROTOCOL, check_protocol
from vstore.cluster.worker.work import NodeWorker, serving
from vstore.digest import Digest, canonical_json, parse_json
from vstore.documents import Fields
from vstore.errors import CacheError, UsageError, VstoreError
from vstore.objects import StorePath
from vstore.plural import count
from vstore.remote import Cache, Channel, Signer, Trust, trust_of
from vstore.remote.maintenance.integrity import quick_archive_fault
from vstore.remote.records.encoding import decode_channel, encode
from vstore.remote.records.model import ObjectRecord
from vstore.store import Store
from vstore.values import frozen


@frozen
class ChannelTask:
    """The record of a channel in the cache with this URL, to be signed with the key `signer`.

    `recipe` is that of the stack.
    """

    channel: Channel
    recipe: Digest
    cache: str
    signer: str

    def encode(self) -> str:
        """Return the task as JSON text."""
        document = {
            "protocol": PROTOCOL,
            "channel": encode(self.channel).decode(),
            "recipe": str(self.recipe),
            "cache": self.cache,
            "signer": self.signer,
        }
        return canonical_json(document).decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a task. Raises UsageError if it is malformed, or of another release."""
        try:
            fields = Fields(parse_json(text.encode()))
            check_protocol(fields.integer("protocol"), "the task")
            return cls(
                channel=decode_channel(fields.text("channel").encode(), "of a task"),
                recipe=Digest.parse(fields.text("recipe")),
                cache=fields.text("cache"),
                signer=fields.text("signer"),
            )
        except (ValueError, CacheError) as error:
            raise UsageError(f"not a task of a cluster: {error}") from error


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
    records: dict[StorePath, ObjectRecord] = {}
    left = [top]
    while left:
        path = left.pop()
        record = cache.object(path, trust)
        fault = "is not there" if record is None else quick_archive_fault(cache, record)
        if record is None or fault is not None:
            raise CacheError(f"{cache.name} does not have all of {top}: {path} {fault}", hint="run the command again")
        records[path] = record
        left += [one for one in record.references if one not in records and one not in left]
    return records[top]
