"""Plans: the graph of nodes of several specs, as values and documents, and building one of its nodes.

Example::

    from pathlib import Path
    from vstore.api import plans, realising, stores

    with stores.open_store() as store:
        planned = plans.plan(store, [realising.Request(spec=Path("spec.toml"))])
        for one in planned.nodes:
            print(one.node.name, one.object or "to build")
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from vstore.api._malicious import refusing_malicious
from vstore.build.recipe import Recipe
from vstore.realise.execute.messages import NodeTask
from vstore.realise.model import RealisedLayer, Request
from vstore.realise.plan import planner
from vstore.realise.plan.document import Node, node_document, read_node
from vstore.realise.plan.planner import Planned, PlannedNode, PlannedStack
from vstore.realise.session import Session
from vstore.reporter import Reporter
from vstore.store import BuildCost, Store

__all__ = [
    "BuildCost",
    "Node",
    "Planned",
    "PlannedNode",
    "PlannedStack",
    "Recipe",
    "build",
    "node_document",
    "plan",
    "read_node",
]


def plan(store: Store, requests: Sequence[Request], *, reporter: Reporter | None = None) -> Planned:
    """Plan requests. Nodes below an object that the store or a cache has are not part of the plan.

    The modules of layers that have to be built are imported into the store. The caches and the environment of the
    first request are used for all. Raises SpecError, LockError, UsageError or StoreError.
    """
    first = requests[0]
    session = Session.open(store, offline=first.offline, environment=first.environment, reporter=reporter)
    session = refusing_malicious(session)
    with session.with_caches(first.caches, offline=first.offline, dry_run=True) as session:
        return planner.plan(session, requests)


def build(
    store: Store,
    node: Node,
    *,
    caches: Sequence[str] = (),
    offline: bool = False,
    jobs: int | None = None,
    reporter: Reporter | None = None,
) -> RealisedLayer:
    """Realise one node: its object is present, else substituted, else built. `jobs` is the number of cores if None.

    Raises UsageError if the object of a dependency is not known, BuildError, ToolError or StoreError.
    """
    session = Session.open(store, offline=offline, jobs=jobs or os.cpu_count() or 1, reporter=reporter)
    with session.with_user_settings().with_caches(caches, offline=offline) as session:
        return planner.build_node(session, NodeTask(node=node))
