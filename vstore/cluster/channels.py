"""Channels that point to the stacks of a run. Where several keys must sign, workers sign too.

A worker signs only the record of a channel that a key it trusts has signed, for a stack that the cache has whole, and
that enough keys which it trusts state as the object of its recipe.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Self

from vstore.cluster.client import ClusterClient
from vstore.cluster.executor import Connect
from vstore.cluster.run import ClusterRun
from vstore.cluster.tasks import PROTOCOL, RELEASE_RESOURCE, check_protocol, key_resource
from vstore.cluster.work import NodeWorker, serving
from vstore.digest import Digest, canonical_json, parse_json
from vstore.documents import Fields
from vstore.errors import CacheError, ClusterError, UsageError, VstoreError
from vstore.objects import StorePath
from vstore.plural import count
from vstore.remote import Cache, Channel, PublishedChannel, Signer, Trust, publish_channel, trust_of
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


def move_channel(
    run: ClusterRun, connect: Connect, name: str, stack: StorePath, recipe: Digest, lifetime: timedelta
) -> PublishedChannel:
    """Point a channel to a stack, if the cache has all that the stack refers to.

    Where several keys must sign, workers add the signatures that are missing. Raises CacheError for a stack that is not
    whole, ClusterError if too few keys sign.
    """
    record = check_complete(run.cache, stack, run.trust)
    made = publish_channel(run.cache, name, record, signer=run.signer, lifetime=lifetime, now=datetime.now(UTC))
    check_complete(run.cache, stack, run.trust)  # a collection that did not see the channel may have run meanwhile
    if run.trust.require == 1 or run.trust.trusts(made.record):
        return made
    with connect() as client:
        return PublishedChannel(record=_have_signed(client, run, made.record, recipe))


def _have_signed(client: ClusterClient, run: ClusterRun, record: Channel, recipe: Digest) -> Channel:
    """Return the record with the signatures of as many workers as are missing. Raises ClusterError.

    After the limit of the client no further worker is asked.
    """
    trust, reasons, ends = run.trust, [], time.monotonic() + client.limit_seconds
    offers = [
        (worker, key)
        for worker in client.workers()
        for key in trust.keys
        if worker.offers({RELEASE_RESOURCE: 1, key_resource(key.name): 1})
    ]
    for worker, key in offers:
        if not trust.trusts(record) and key.raw not in trust.signers(record) and time.monotonic() < ends:
            task = ChannelTask(channel=record, recipe=recipe, cache=run.cache.url, signer=key.name)
            if reason := client.call(worker.name, sign_channel, task.encode()):
                reasons.append(f"worker {worker.name} on {worker.host}: {reason}")
            found = run.cache.channel(record.name, trust)
            record = found if found and found.fingerprint == record.fingerprint else record
    if trust.trusts(record):
        return record
    raise ClusterError(
        f"channel {record.name} was not moved: {trust.rejection(record)}",
        details=reasons or ["no worker has another trusted key"],
        hint=f"clients that require {trust.require} keys follow the number before; run the command again",
    )


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
