"""The values that all tasks of one run share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vstore.cancel import CancelToken
from vstore.cluster.client.events import NodeEvent
from vstore.cluster.client.inputs import InputMaker
from vstore.objects import StorePath
from vstore.remote import Cache, Signer, Trust
from vstore.reporter import Reporter
from vstore.store import Store
from vstore.values import frozen


@frozen(slots=False)
class ClusterRun:
    """The store, the cache, the keys that count, and the listener to events.

    `makers` has the tools of the spec of each node, `lock_names` the name of the lock of each layer.
    """

    store: Store
    cache: Cache
    signer: Signer
    trust: Trust
    makers: Mapping[StorePath, InputMaker]
    cancel: CancelToken
    reporter: Reporter
    on_event: Callable[[NodeEvent], object]
    lock_names: Mapping[StorePath, str] = {}
    keep_going: bool = False
