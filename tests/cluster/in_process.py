"""A cluster whose workers are in this process, for tests of what a client makes of their answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.testing.machine import Said
from scripts.testing.small_layers import SmallLayers
from vstore.build.recipe import LayerRecipe, Recipe
from vstore.cancel import CancelToken
from vstore.cluster.client.connection import Activity, ClusterClient, ClusterWorker, Finished
from vstore.cluster.client.inputs import InputMaker
from vstore.cluster.client.run import ClusterRun
from vstore.cluster.resources import RELEASE_RESOURCE, key_resource
from vstore.cluster.tasks import ChannelTask, ClusterAnswer, ClusterTask
from vstore.cluster.worker.channels import sign_on
from vstore.cluster.worker.work import NodeWorker
from vstore.objects import StorePath
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.execute.messages import NodeTask
from vstore.realise.plan.document import Node
from vstore.remote import Pusher, PushOptions, SecretKey, Signer, Trust, open_cache, write_key
from vstore.reporter import Reporter
from vstore.store import Store, StoreLayout
from vstore.target import Target
from vstore.values import replace

CLIENT = SecretKey("client", b"c" * 32)
ONE, TWO, THREE = (SecretKey(name, name.encode().ljust(32)) for name in ("one", "two", "three"))
TRUST = Trust(keys=(CLIENT.public, ONE.public, TWO.public, THREE.public))
BOTH = replace(TRUST, require=2)


@dataclass
class Client:
    """A client's layers and its cache, which has the interpreter and the modules."""

    layers: SmallLayers
    folder: Path

    @property
    def url(self) -> str:
        return (self.folder / "cache").as_uri()

    @property
    def interpreter(self) -> StorePath:
        found = self.layers.store.realisation(self.layers.interpreter.digest)
        assert found is not None
        return found

    def push(self, *paths: StorePath) -> None:
        cache = open_cache(self.url)
        Pusher(self.layers.store, cache, Signer((CLIENT,), TRUST), PushOptions(), reporter=Said()).push(paths)

    def task(self, recipe: Recipe, *, signer: str | None = None, cache: str | None = None) -> ClusterTask:
        """A task over the interpreter, for which everything is in the cache."""
        if isinstance(recipe, LayerRecipe):
            self.push(self.interpreter, *recipe.sources)
        node = Node(recipe=recipe, objects={self.layers.interpreter.key: self.interpreter})
        return ClusterTask(work=NodeTask(node=node), cache=cache or self.url, signer=signer)


def worker(client: Client, key: SecretKey = ONE, *, max_store_bytes: int | None = None) -> NodeWorker:
    root = client.folder / key.name
    if not root.exists():
        Store.open(root).close()
        write_key(StoreLayout(root).keys, key)
        names = ", ".join(f'"{one}"' for one in TRUST.keys)
        StoreLayout(root).config_file.write_text(f"trusted_keys = [{names}]\n")
    return NodeWorker(root, key.name, (key,), jobs=1, max_store_bytes=max_store_bytes, reporter=Said())


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
