"""Channels that point to the stacks of a run. Where several keys must sign, workers sign too."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from vstore.cluster.client.connection import ClusterClient
from vstore.cluster.client.executor import Connect
from vstore.cluster.client.run import ClusterRun
from vstore.cluster.resources import RELEASE_RESOURCE, key_resource
from vstore.cluster.tasks import ChannelTask
from vstore.cluster.worker.channels import check_complete, sign_channel
from vstore.digest import Digest
from vstore.errors import ClusterError
from vstore.objects import StorePath
from vstore.remote import Channel, PublishedChannel, publish_channel


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
        return PublishedChannel(record=_collect_signatures(client, run, made.record, recipe))


def _collect_signatures(client: ClusterClient, run: ClusterRun, record: Channel, recipe: Digest) -> Channel:
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
