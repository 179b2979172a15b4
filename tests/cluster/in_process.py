"""A cluster whose workers are in this process, for tests of what a client makes of their answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from scripts.testing.machine import Said
from tests.cluster.worker.test_work import CLIENT, TRUST, Client
from vstore.cancel import CancelToken
from vstore.cluster.client.connection import Activity, ClusterClient, ClusterWorker, Finished
from vstore.cluster.client.inputs import InputMaker
from vstore.cluster.client.run import ClusterRun
from vstore.cluster.tasks import RELEASE_RESOURCE, ClusterAnswer, ClusterTask, key_resource
from vstore.cluster.worker.channels import ChannelTask, sign_on
from vstore.cluster.worker.work import NodeWorker
from vstore.realise.execute.interpreters import Interpreters
from vstore.remote import Signer, Trust, open_cache
from vstore.reporter import Reporter
from vstore.target import Target
from vstore.values import replace

BOTH = replace(TRUST, require=2)


class InProcess(ClusterClient):
    """Carries tasks out at once, on the worker with the key of the task. Workers in `lost` sign no channel.

    `change` may change an answer. `answered` has the worker of each.
    """

    def __init__(
        self,
        workers: Mapping[str, NodeWorker],
        *,
        lost: tuple[str, ...] = (),
        change: Callable[[ClusterAnswer], ClusterAnswer] = lambda answer: answer,
    ) -> None:
        self.limit_seconds = 10.0
        self.answered: list[str] = []
        self._workers = workers
        self._lost = lost
        self._change = change
        self._given: dict[str, ClusterAnswer] = {}
        self._finished: list[Finished | Activity] = []

    @contextmanager
    def connected_here(self) -> Iterator[ClusterClient]:
        """Yield this client."""
        yield self

    def workers(self) -> tuple[ClusterWorker, ...]:
        return tuple(
            ClusterWorker(
                name=name,
                host="h",
                resources={RELEASE_RESOURCE: 1, str(Target.host()): 1, key_resource(name): 1},
                silent_seconds=0.0,
            )
            for name in self._workers
        )

    def submit(
        self,
        task: ClusterTask,
        below: Iterable[str],
        *,
        resources: Mapping[str, float],
        priority: float,
        prefer: Sequence[str] = (),
    ) -> str:
        name = task.signer or next(iter(prefer or self._workers))
        answer = self._workers[name].realise(task.encode(), [self._given[one].encode() for one in below])
        self._given[task.key] = self._change(answer)
        self.answered.append(name)
        self._finished.append(Finished(task=task.key, answer=self._given[task.key]))
        return task.key

    def happened(self, wait_seconds: float) -> list[Finished | Activity]:
        found, self._finished = self._finished, []
        return found

    def forget(self, tasks: Iterable[str]) -> None:
        self._finished = [one for one in self._finished if one.task not in set(tasks)]

    def forget_all(self) -> None:
        self._finished = []

    def call(self, worker: str, function: Callable[[str], Coroutine[Any, Any, str]], text: str) -> str:
        if worker in self._lost:
            return "it is lost"
        sign_on(self._workers[worker], ChannelTask.parse(text))
        return ""


def run_of(client: Client, trust: Trust = BOTH, reporter: Reporter | None = None) -> ClusterRun:
    """The values of a run of a client."""
    maker = InputMaker(interpreters=Interpreters(client.layers.session()), import_sources=lambda recipe: None)
    return ClusterRun(
        store=client.layers.store,
        cache=open_cache(client.url),
        signer=Signer((CLIENT,), TRUST),
        trust=trust,
        makers=defaultdict(lambda: maker),
        cancel=CancelToken(),
        reporter=reporter or Said(),
        on_event=lambda event: None,
    )
