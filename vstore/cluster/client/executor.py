"""Carry out a plan on the workers of a cluster: an `Executor` whose nodes are tasks of a scheduler.

The cache is asked once for each node. What workers cannot make is pushed; then all other nodes are submitted at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress

from vstore.build.recipe import Recipe
from vstore.cancel import Cancelled
from vstore.cluster.client.connection import ClusterClient
from vstore.cluster.client.execution import Execution
from vstore.cluster.client.inputs import CachedNodes, InputBuilder, Inputs, find_cached, make_interpreters
from vstore.cluster.client.run import ClusterRun
from vstore.cluster.tasks import ClusterAnswer
from vstore.errors import VstoreError
from vstore.objects import StorePath
from vstore.realise.execute.executor import Executed
from vstore.realise.model import Origin, RealisedLayer
from vstore.remote import Pusher

Connect = Callable[[], AbstractContextManager[ClusterClient]]


class DaskExecutor:
    """Realises nodes on the workers of a cluster. Afterwards the cache has every object that is done.

    A run whose nodes are all in the cache does not `connect`.

    `answers` has those for each node that workers realised, `found` what the cache had before, `unbuilt` the nodes
    that failed although another machine may be able to build them.
    """

    def __init__(self, connect: Connect, run: ClusterRun) -> None:
        self._connect = connect
        self._run = run
        self.answers: dict[StorePath, tuple[ClusterAnswer, ...]] = {}
        self.found = CachedNodes()
        self.inputs = Inputs()
        self.unbuilt: frozenset[StorePath] = frozenset()

    def run(self, nodes: Mapping[StorePath, Recipe]) -> Executed:
        """Realise the nodes that the cache lacks. Raises CacheError, or ClusterError if nothing goes on."""
        done: dict[StorePath, RealisedLayer] = {}
        failures: dict[StorePath, VstoreError] = {}
        with suppress(Cancelled):
            self._carry_out(nodes, done, failures)
        return Executed(done=done, failures=failures)

    def _carry_out(
        self,
        nodes: Mapping[StorePath, Recipe],
        done: dict[StorePath, RealisedLayer],
        failures: dict[StorePath, VstoreError],
    ) -> None:
        """Realise the nodes, and note the results. Raises Cancelled."""
        run = self._run
        run.cache.writer.create(run.store.layout.root)
        # only this machine signs interpreters, so where several keys must sign it believes its own
        own = make_interpreters(nodes, run.makers) if run.trust.require > 1 else {}
        self.found = find_cached(run.store, run.cache, nodes, run.trust, own)
        done |= {key: _layer(nodes[key], path) for key, path in self.found.objects.items()}
        left = {key: node for key, node in nodes.items() if key not in done}
        if left.keys() <= own.keys():
            done |= own
            self._push({})
            return
        run.reporter.progress("cluster", "connecting to the scheduler")
        with self._connect() as client:
            self._push(left)
            done |= self.inputs.interpreters
            left = {key: node for key, node in left.items() if key not in done}
            execution = Execution(client, run, left, done, self.inputs)
            try:
                execution.run()
            finally:
                client.forget_all()
                self.answers |= execution.answers
                self.unbuilt = frozenset(execution.unbuilt)
                done |= execution.done
                failures |= execution.failures

    def _push(self, left: Mapping[StorePath, Recipe]) -> None:
        """Push what workers need for these nodes, and what only this store has."""
        run, also = self._run, self.found.only_here.values()
        if left or also:
            pusher = Pusher(run.store, run.cache, run.signer, reporter=run.reporter)
            self.inputs = InputBuilder(run.store, run.makers).make_and_push(left, also, pusher)


def _layer(node: Recipe, path: StorePath) -> RealisedLayer:
    return RealisedLayer(name=node.name, kind=node.kind, path=path, origin=Origin.PRESENT, seconds=0.0)
