"""Executors: work on each node of a graph once its dependencies are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from typing import Protocol, TypeVar

from vstore.build.recipe import Recipe
from vstore.cancel import Cancelled, CancelToken
from vstore.errors import VstoreError
from vstore.objects import StorePath

T = TypeVar("T")
Work = Callable[[Recipe, Mapping[StorePath, T]], T]  # of a node and the results of its dependencies


class Executor(Protocol):
    """Works on a graph of nodes."""

    def run(
        self, nodes: Mapping[StorePath, Recipe], work: Work[T]
    ) -> tuple[dict[StorePath, T], dict[StorePath, VstoreError]]:
        """Call `work` for each node after its dependencies. Return the results and the errors by key.

        A node whose dependency failed is in neither.
        """


class ThreadExecutor:
    """Works in threads. The first failure cancels the others, unless `keep_going`."""

    def __init__(self, jobs: int, cancel: CancelToken, *, keep_going: bool = False) -> None:
        self._jobs = jobs
        self._cancel = cancel
        self._keep_going = keep_going

    def run(
        self, nodes: Mapping[StorePath, Recipe], work: Work[T]
    ) -> tuple[dict[StorePath, T], dict[StorePath, VstoreError]]:
        """Call `work` for each node after its dependencies. Return the results and the errors by key."""
        sorter = TopologicalSorter({key: recipe.all_dependencies for key, recipe in nodes.items()})
        sorter.prepare()
        done: dict[StorePath, T] = {}
        failures: dict[StorePath, VstoreError] = {}
        running: dict[Future[T], StorePath] = {}
        with ThreadPoolExecutor(max_workers=self._jobs) as pool, self._cancel.set_after(errors=True):
            while True:
                if not failures or self._keep_going:
                    for key in sorter.get_ready():
                        below = {one: done[one] for one in nodes[key].all_dependencies}
                        running[pool.submit(work, nodes[key], below)] = key
                if not running:
                    return done, failures
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
