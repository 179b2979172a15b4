"""Executors: realise each node of a graph once its dependencies are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from typing import Protocol

from vstore.build.recipe import Recipe
from vstore.cancel import Cancelled, CancelToken
from vstore.errors import VstoreError
from vstore.objects import StorePath
from vstore.realise.model import RealisedLayer
from vstore.values import frozen

RealiseNode = Callable[[Recipe, Mapping[StorePath, StorePath | None]], RealisedLayer]
"""Realises a node over the objects of its dependencies, which are None in a dry run if not known."""


@frozen
class Executed:
    """The results and the errors by node key. A node above a failure, and cancelled work, are in neither."""

    done: Mapping[StorePath, RealisedLayer]
    failures: Mapping[StorePath, VstoreError]


class Executor(Protocol):
    """Realises graphs of nodes."""

    def run(self, nodes: Mapping[StorePath, Recipe]) -> Executed:
        """Realise each node after its dependencies, which are all among the nodes. Cancelled work is no failure."""


class ThreadExecutor:
    """Calls `realise` in threads of this process. The first failure cancels the others, unless `keep_going`."""

    def __init__(self, realise: RealiseNode, jobs: int, cancel: CancelToken, *, keep_going: bool = False) -> None:
        self._realise = realise
        self._jobs = jobs
        self._cancel = cancel
        self._keep_going = keep_going

    def run(self, nodes: Mapping[StorePath, Recipe]) -> Executed:
        """Realise each node after its dependencies. Cancelled work is no failure."""
        sorter = TopologicalSorter({key: recipe.all_dependencies for key, recipe in nodes.items()})
        sorter.prepare()
        done: dict[StorePath, RealisedLayer] = {}
        failures: dict[StorePath, VstoreError] = {}
        running: dict[Future[RealisedLayer], StorePath] = {}
        with ThreadPoolExecutor(max_workers=self._jobs) as pool, self._cancel.set_after(errors=True):
            while True:
                if not failures or self._keep_going:
                    for key in sorter.get_ready():
                        below = {one: done[one].path for one in nodes[key].all_dependencies}
                        running[pool.submit(self._realise, nodes[key], below)] = key
                if not running:
                    return Executed(done=done, failures=failures)
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(finished, key=running.__getitem__):
                    key = running.pop(future)
                    try:
                        done[key] = future.result()
                        sorter.done(key)
                    except VstoreError as error:
                        failures[key] = error
                        if not self._keep_going:
                            self._cancel.set()
                    except Cancelled:
                        pass
