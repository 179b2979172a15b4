"""One cluster of three workers for the tests of this folder, and clients with stores of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from scripts.testing.clusters import TestCluster, give_keys, set_trust
from scripts.testing.machine import Said
from scripts.testing.small_layers import SmallLayers
from scripts.testing.world import World
from vstore.api.cluster import report_event
from vstore.build.recipe import Recipe
from vstore.cluster.client.connection import ClusterClient
from vstore.cluster.client.events import NodeEvent
from vstore.cluster.client.executor import DaskExecutor
from vstore.cluster.client.inputs import InputMaker
from vstore.cluster.client.run import ClusterRun
from vstore.realise.execute.executor import Executed
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.session import Session
from vstore.remote import Cache, Signer, Trust, open_cache, signing_keys, trust_of
from vstore.remote.records.model import Realisation

WORKERS = ("one", "two", "three")
CLIENTS = ("client", "other")
USERS = ("first-user", "second-user")  # with empty stores


@dataclass
class Client:
    """A client of the cluster, with a store of its own and the recipes of small layers."""

    cluster: TestCluster
    layers: SmallLayers
    limit_seconds: float = 30.0
    events: list[NodeEvent] = field(default_factory=list)
    reports: Said = field(default_factory=Said)

    @property
    def cache(self) -> Cache:
        """The cache that all machines share."""
        return open_cache(str(self.cluster.cache))

    def cluster_run(self, session: Session | None = None, *, keep_going: bool = False) -> ClusterRun:
        """The values of a run of this client."""
        session = session or self.layers.session(self.reports)
        store, reporter = self.layers.store, session.reporter
        maker = InputMaker(interpreters=Interpreters(session), import_sources=lambda recipe: None)

        def hear(event: NodeEvent) -> None:
            self.events.append(event)
            report_event(reporter, event)

        return ClusterRun(
            store=store,
            cache=self.cache,
            signer=Signer(signing_keys(store.layout.keys), trust_of(store.config)),
            trust=trust_of(store.config),
            makers=defaultdict(lambda: maker),
            cancel=session.cancel,
            reporter=reporter,
            on_event=hear,
            keep_going=keep_going,
        )

    def executor(self, run: ClusterRun | None = None, *, address: str | None = None) -> DaskExecutor:
        """An executor on the cluster, or on the scheduler at an address."""
        address = address or self.cluster.address.url
        connect = partial(ClusterClient.connected, address, None, limit_seconds=self.limit_seconds)
        return DaskExecutor(connect, run or self.cluster_run())

    def run(self, *recipes: Recipe, keep_going: bool = False) -> Executed:
        """Realise these nodes and their interpreter on the cluster."""
        return self.executor(self.cluster_run(keep_going=keep_going)).run(self.layers.nodes(*recipes))

    def start(self, *recipes: Recipe) -> Future[Executed]:
        """Realise these nodes in a thread."""
        pool = ThreadPoolExecutor(1)
        started = pool.submit(self.run, *recipes)
        pool.shutdown(wait=False)
        return started

    @property
    def trust(self) -> Trust:
        """The keys that this client trusts."""
        return trust_of(self.layers.store.config)

    def record(self, executed: Executed, recipe: Recipe) -> Realisation:
        """What the cache states for a node."""
        objects = {key: one.path for key, one in executed.done.items() if one.path}
        found = self.cache.realisation(recipe.over(objects).digest, self.trust)
        assert found is not None
        return found


@pytest.fixture(scope="session")
def cluster(realised: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCluster]:
    """A scheduler, three workers, and the stores of two clients."""
    made = TestCluster(tmp_path_factory.mktemp("cluster"))
    for name in CLIENTS:
        realised.copy(made.folder / f"{name}-world").root.rename(made.root(name))
    made.keys = give_keys(made.root(name) for name in (*CLIENTS, *WORKERS, *USERS))
    try:
        made.start_scheduler()
        made.start_workers(*WORKERS)
        yield made
    finally:
        made.close()


@contextmanager
def opened(cluster: TestCluster, name: str, realised: World) -> Iterator[Client]:
    with SmallLayers.opened(World(realised.folder, cluster.root(name))) as layers:
        yield Client(cluster, layers)


@pytest.fixture
def client(cluster: TestCluster, realised: World) -> Iterator[Client]:
    with opened(cluster, "client", realised) as made:
        yield made


@pytest.fixture
def other(cluster: TestCluster, realised: World) -> Iterator[Client]:
    with opened(cluster, "other", realised) as made:
        yield made


@pytest.fixture
def two_must_agree(cluster: TestCluster) -> Iterator[None]:
    """Two keys must sign, for all machines."""
    roots = [cluster.root(name) for name in (*CLIENTS, *WORKERS, *USERS)]
    for root in roots:
        set_trust(root, cluster.keys, require=2)
    yield
    for root in roots:
        set_trust(root, cluster.keys)
