"""Realise one node on a worker: fetch what it needs, substitute or build it, push it, and answer.

Dask calls `realise_node`, by name and with texts only. A failed build is an answer, never an exception.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from vstore import gc
from vstore.cluster.tasks import AnswerState, ClusterAnswer, ClusterTask, refusal
from vstore.cluster.worker.inputs import check_can_build, needed_objects, resolved_recipe, with_local_wheels
from vstore.cluster.worker.pushing import AllBut, RequestCounter, has_pushed, read_back
from vstore.credentials import public_url
from vstore.errors import ArchiveError, CacheError, StoreError, UsageError, VstoreError
from vstore.plural import count
from vstore.realise.execute.messages import NodeOutcome
from vstore.realise.model import Origin
from vstore.realise.plan.planner import build_node
from vstore.realise.session import Session
from vstore.remote import Cache, Fetcher, Pusher, PushOptions, SecretKey, Signer, open_cache, pull, trust_of
from vstore.remote.records.model import Realisation
from vstore.remote.records.trust import sign
from vstore.remote.sync.substitute import CacheSubstituter
from vstore.reporter import Reporter
from vstore.store import Store

EVENTS = "vstore"  # the topic of the events that workers report
STARTED = "started"  # the state of a task in its first event


def realise_node(task: str, *below: str) -> str:
    """Realise the node of a task over the answers of the nodes below, and return the answer.

    Raises UsageError for a task of another release, and on a worker that `vstore worker` did not start.
    """
    return serving().realise(task, below).encode()


def serve(worker: NodeWorker) -> None:
    """Let this worker realise the nodes of all tasks of this process."""
    global _worker
    _worker = worker


def serving() -> NodeWorker:
    """Return the worker of this process. Raises UsageError if `vstore worker` did not start it."""
    if _worker is None:
        raise UsageError("this worker does not belong to vstore", hint="start workers by `vstore worker SCHEDULER`")
    return _worker


class NodeWorker:
    """Realises nodes in a store of its own. Safe for several threads; `jobs` are the threads of one build.

    `keys` sign what it pushes. `report` is called with events: the state of a task, as strings by name. After a task
    the longest unused objects are deleted until the store takes at most `max_store_bytes`.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        keys: Sequence[SecretKey],
        *,
        jobs: int,
        max_store_bytes: int | None,
        reporter: Reporter,
    ) -> None:
        self.name = name
        self.keys = tuple(keys)
        self.report: Callable[[Mapping[str, str]], object] = lambda event: None
        self.root = root
        self._jobs = jobs
        self._max_store_bytes = max_store_bytes
        self._reporter = reporter
        self._caches: dict[str, tuple[Cache, RequestCounter]] = {}
        self._collector = ThreadPoolExecutor(1, thread_name_prefix="collector")
        self._collection: Future[None] | None = None
        self._lock = threading.Lock()
        self._ended = threading.Condition()
        self._running = 0

    def close(self) -> None:
        """Wait for a collection that runs."""
        self._collector.shutdown(cancel_futures=True)

    def wait_idle(self, seconds: float) -> int:
        """Wait until no node is in work, at most so many seconds; return how many still are."""
        with self._ended:
            self._ended.wait_for(lambda: not self._running, seconds)
            return self._running

    def realise(self, text: str, below: Sequence[str]) -> ClusterAnswer:
        """Realise the node of a task over the answers of the nodes below. Raises UsageError for another release."""
        answers = tuple(map(ClusterAnswer.parse, below))
        objects = {one.outcome.key: one.realisation.path for one in answers if one.realisation is not None}
        task = ClusterTask.parse(text, objects)
        if (refused := refusal(answers)) is not None:
            return self._failed(task, *refused)
        with self._counted():
            self._tell(task, STARTED)
            answer = self._attempt(task)
            self._tell(task, str(answer.state))
        self._collect_later()
        return answer

    def _attempt(self, task: ClusterTask) -> ClusterAnswer:
        try:
            with Store.open(self.root, create=False) as store:
                return self._carry_out(store, task)
        except OSError as error:
            return self._failed(task, AnswerState.UNAVAILABLE, StoreError(f"{error.filename}: {error.strerror}"))
        except (CacheError, ArchiveError, StoreError) as error:
            return self._failed(task, AnswerState.UNAVAILABLE, error)
        except VstoreError as error:
            return self._failed(task, AnswerState.FAILED, error)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._ended:
            self._running += 1
        try:
            yield
        finally:
            with self._ended:
                self._running -= 1
                self._ended.notify_all()

    def _carry_out(self, store: Store, task: ClusterTask) -> ClusterAnswer:
        trust = trust_of(store.config, [str(key.public) for key in self.keys])
        cache, requests = self.open_cache(store, task.cache)
        fetcher = Fetcher(store, trust=trust, reporter=self._reporter)
        session = Session.open(store, jobs=self._jobs, reporter=self._reporter).with_user_settings()
        recipe = resolved_recipe(task.work.node)
        fetched_bytes = 0
        with closing(CacheSubstituter(() if task.signer else (cache,), fetcher)) as substituter:
            if store.realisation(recipe.digest) is None and not substituter.find([recipe.digest]):
                check_can_build(task)
                self._tell(task, "fetching")
                fetched_bytes = pull(fetcher, cache, needed_objects(task, recipe)).fetched_bytes
                self._tell(task, "building")
            layer = build_node(replace(session, substituter=substituter), with_local_wheels(store, task))
            fetched_bytes += substituter.fetched_bytes
        assert layer.path is not None  # as it is no dry run
        store.last_used.record(layer.path, self.name)
        info = store.objects.info(layer.path)
        assert info is not None  # as it is kept alive
        record, keys, pushed_bytes = Realisation.of(info, recipe.digest), self._keys_of(task), 0
        signer, states = Signer(keys, trust), task.signer is None
        is_there = layer.origin == Origin.PRESENT and states and has_pushed(cache, record, signer)
        if not is_there and layer.origin != Origin.SUBSTITUTED:
            self._tell(task, "pushing")
            options = PushOptions(realisations=states)
            only = AllBut(info.path)
            pusher = Pusher(store, cache, signer, options, reporter=self._reporter, without=only)
            pushed_bytes = pusher.push([info.path]).archive_bytes
            record = read_back(cache, record, trust, stated=states)
        return ClusterAnswer(
            state=AnswerState.DONE,
            outcome=NodeOutcome(
                key=task.work.node.recipe.key, layer=replace(layer, path=record.path), size_bytes=record.size_bytes
            ),
            worker=self.name,
            host=platform.node(),
            key=str(keys[0].public),
            realisation=sign(record, keys),
            pushed_bytes=pushed_bytes,
            fetched_bytes=fetched_bytes,
            requests=requests.take(),
        )

    def _failed(self, task: ClusterTask, state: AnswerState, error: VstoreError) -> ClusterAnswer:
        return ClusterAnswer(
            state=state,
            outcome=NodeOutcome(key=task.work.node.recipe.key, failure=error),
            worker=self.name,
            host=platform.node(),
        )

    def _keys_of(self, task: ClusterTask) -> tuple[SecretKey, ...]:
        """Return the keys that sign. Raises UsageError if this worker does not have the key of the task."""
        found = tuple(key for key in self.keys if task.signer in (None, key.name))
        if not found:
            raise UsageError(f"worker {self.name} has no key {task.signer}", hint="`vstore key list` shows its keys")
        return found

    def open_cache(self, store: Store, url: str) -> tuple[Cache, RequestCounter]:
        """Return the cache, with the login and the options of the worker's own configuration, and its counter."""
        with self._lock:
            if url not in self._caches:
                known = store.config.caches
                name = next((one.name for one in known if public_url(one.url) == url), url)
                counter = RequestCounter(self._reporter)
                self._caches[url] = open_cache(name, known, reporter=counter), counter
            return self._caches[url]

    def _tell(self, task: ClusterTask, state: str) -> None:
        recipe = task.work.node.recipe
        self.report(
            {
                "key": task.key,
                "node": str(recipe.key),
                "name": recipe.name,
                "state": state,
                "worker_name": self.name,  # Dask sets "worker" to the address
                "host": platform.node(),
            }
        )

    def _collect_later(self) -> None:
        if self._max_store_bytes is not None:
            with self._lock:
                if self._collection is None or self._collection.done():
                    self._collection = self._collector.submit(self._collect)

    def _collect(self) -> None:
        try:
            with Store.open(self.root, create=False) as store:
                unshared_since = datetime.now(UTC) - store.config.gc.cache_unshared_for
                policy = gc.CollectionPolicy(max_size=self._max_store_bytes, cache_unshared_since=unshared_since)
                deleted = gc.collect_garbage(store, policy).deleted
            self._reporter.detail(f"collected {count(len(deleted), 'object')}")
        except (VstoreError, OSError) as error:
            self._reporter.warn(f"garbage was not collected: {error}")


_worker: NodeWorker | None = None
