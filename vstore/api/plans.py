"""Plans: the graph of nodes that specs need, as values and documents, and building one node of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vstore.api.stores import uv_of
from vstore.objects import StorePath
from vstore.realise.document import node_document, read_node
from vstore.realise.model import RealisedLayer, Request
from vstore.realise.planning import Planned, PlannedNode, PlannedStack
from vstore.reporter import NullReporter, Reporter
from vstore.store import Store

__all__ = ["Planned", "PlannedNode", "PlannedStack", "build", "node_document", "plan"]


def plan(store: Store, requests: Sequence[Request], *, reporter: Reporter | None = None) -> Planned:
    """Return what realising these requests would need, pruned of what the store or a cache has.

    The modules of layers that would be built are imported into the store. All requests have the caches and the
    environment of the first. Raises SpecError, LockError, UsageError or StoreError.
    """
    from vstore.realise.planning import plan
    from vstore.realise.session import Session
    from vstore.remote import substitution

    first, reporter = requests[0], reporter or NullReporter()
    uv = uv_of(store, offline=first.offline, environment=first.environment)
    with substitution(store, first.caches, offline=first.offline, dry=True, reporter=reporter) as substituter:
        session = Session(store=store, uv=uv, reporter=reporter, now=datetime.now(UTC), substitutes=substituter)
        return plan(session, requests)


def build(
    store: Store,
    document: Any,
    objects: Mapping[StorePath, StorePath],
    *,
    caches: Sequence[str] = (),
    offline: bool = False,
    jobs: int | None = None,
    reporter: Reporter | None = None,
) -> RealisedLayer:
    """Make the object of one node present; `objects` are those of its dependencies that its document does not know.

    Raises UsageError for what is no node, BuildError, ToolError or StoreError.
    """
    from vstore.cancel import CancelToken
    from vstore.realise.planning import build
    from vstore.realise.session import Session
    from vstore.remote import substitution

    node, known = read_node(document)
    reporter, cancel, jobs = reporter or NullReporter(), CancelToken(), jobs or os.cpu_count() or 1
    uv = uv_of(store, offline=offline).reaching({}, store.layout.root)
    with substitution(
        store, tuple(caches), offline=offline, dry=False, reporter=reporter, cancel=cancel
    ) as substituter:
        session = Session(
            store=store,
            uv=uv,
            reporter=reporter,
            now=datetime.now(UTC),
            jobs=jobs,
            substitutes=substituter,
            cancel=cancel,
        )
        return build(session, node, {**known, **objects}, offline=offline)
