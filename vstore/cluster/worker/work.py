"""Realise one node on a worker: fetch what it needs, substitute or build it, push it, and answer.

Dask calls `realise_node`, by name and with texts only. A failed build is an answer, never an exception.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from vstore import gc
from vstore.build.recipe import InterpreterRecipe, LayerRecipe, Recipe, is_node_key
from vstore.cluster.tasks import AnswerState, ClusterAnswer, ClusterTask, refusal
from vstore.credentials import public_url
from vstore.errors import ArchiveError, BuildError, CacheError, StoreError, UsageError, VstoreError
from vstore.objects import Kind, StorePath
from vstore.plural import count
from vstore.realise.execute.messages import NodeOutcome, NodeTask
from vstore.realise.model import Origin
from vstore.realise.plan.document import Node
from vstore.realise.plan.planner import build_node
from vstore.realise.session import Session
from vstore.remote import Cache, Fetcher, Pusher, PushOptions, SecretKey, Signer, Trust, open_cache, pull, trust_of
from vstore.remote.maintenance.integrity import quick_archive_fault
from vstore.remote.records.model import Realisation
from vstore.remote.records.trust import sign
from vstore.remote.sync.substitute import CacheSubstituter
from vstore.reporter import CancellableReporter, Detail, Reporter
from vstore.store import Store
from vstore.target import Target
from vstore.values import frozen

EVENTS = "vstore"  # the topic of the events that workers report
STARTED = "started"  # the state of a task in its first event
_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # in seconds, before a pushed record is read again


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
        recipe = _resolved(task.work.node)
        fetched_bytes = 0
        with closing(CacheSubstituter(() if task.signer else (cache,), fetcher)) as substituter:
            if store.realisation(recipe.digest) is None and not substituter.find([recipe.digest]):
                _check_can_build(task)
                self._tell(task, "fetching")
                fetched_bytes = pull(fetcher, cache, _inputs(task, recipe)).fetched_bytes
                self._tell(task, "building")
            layer = build_node(replace(session, substituter=substituter), _with_local_wheels(store, task))
            fetched_bytes += substituter.fetched_bytes
        assert layer.path is not None  # as it is no dry run
        store.last_used.record(layer.path, self.name)
        info = store.objects.info(layer.path)
        assert info is not None  # as it is kept alive
        record, keys, pushed_bytes = Realisation.of(info, recipe.digest), self._keys_of(task), 0
        signer, states = Signer(keys, trust), task.signer is None
        is_there = layer.origin == Origin.PRESENT and states and _has_pushed(cache, record, signer)
        if not is_there and layer.origin != Origin.SUBSTITUTED:
            self._tell(task, "pushing")
            options = PushOptions(realisations=states)
            only = _AllBut(info.path)
            pusher = Pusher(store, cache, signer, options, reporter=self._reporter, without=only)
            pushed_bytes = pusher.push([info.path]).archive_bytes
            record = _read_back(cache, record, trust, stated=states)
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


class RequestCounter(CancellableReporter):
    """Passes reports on, and counts requests. An answer takes those since the last answer of the worker."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(reporter)
        self._pass_on = reporter.detail
        self._count = 0
        self._lock = threading.Lock()
        self.detail = self._counted

    def take(self) -> int:
        """Return the number of requests since the last call."""
        with self._lock:
            taken, self._count = self._count, 0
        return taken

    def _counted(self, text: str | Callable[[], str], kind: Detail = Detail.DECISION) -> None:
        with self._lock:
            self._count += kind == Detail.CALL
        self._pass_on(text, kind)


@frozen(kw_only=False)
class _AllBut:
    """All store paths but one."""

    path: StorePath

    def __contains__(self, path: object) -> bool:
        return path != self.path


def _resolved(node: Node) -> Recipe:
    """Return the recipe over objects. Raises UsageError if one is not known."""
    paths = {key: node.objects.get(key, key) for key in node.recipe.all_dependencies}
    if unknown := [str(path) for path in paths.values() if is_node_key(path)]:
        raise UsageError(f"{node.recipe.name}: the objects of dependencies are unknown: {', '.join(unknown)}")
    return node.recipe.over(paths)


def _check_can_build(task: ClusterTask) -> None:
    """Raise BuildError if only a machine that adopts an interpreter can build the node."""
    recipe = task.work.node.recipe
    if isinstance(recipe, InterpreterRecipe) and not recipe.pin.is_managed(recipe.target):
        raise BuildError(
            f"{recipe.name} is not in the cache {task.cache}, and a worker adopts no interpreter",
            hint="`vstore push` it from a machine that has it",
        )
    if recipe.kind != Kind.STACK and recipe.target != Target.host() and task.work.compiler is None:
        raise BuildError(f"{recipe.name} is for {recipe.target}, and no interpreter of {Target.host()} is given")


def _inputs(task: ClusterTask, recipe: Recipe) -> list[StorePath]:
    """Return the objects that a build needs."""
    found = [*recipe.all_dependencies, *task.wheels.values()]
    if isinstance(recipe, LayerRecipe):
        found += recipe.sources
    if task.work.compiler is not None:
        found.append(task.work.compiler)
    return found


def _with_local_wheels(store: Store, task: ClusterTask) -> NodeTask:
    """Return the node with the places of local wheels in this store."""
    recipe = task.work.node.recipe
    if not isinstance(recipe, LayerRecipe) or not task.wheels:
        return task.work
    wheels = tuple(
        replace(one, location=str(store.layout.object(task.wheels[one.sha256]) / one.filename))
        if one.sha256 in task.wheels
        else one
        for one in recipe.wheels
    )
    node = Node(recipe=replace(recipe, wheels=wheels), objects=task.work.node.objects)
    return NodeTask(node=node, compiler=task.work.compiler, lock=task.work.lock)


def _has_pushed(cache: Cache, own: Realisation, signer: Signer) -> bool:
    """Return whether the cache has the realisation, the object and its archive, signed by all keys of the signer."""
    found, record = cache.realisation(own.recipe, signer.own), cache.object(own.path, signer.own)
    return (
        found is not None
        and record is not None
        and found.fingerprint == own.fingerprint
        and signer.has_signed(found)
        and signer.has_signed(record)
        and quick_archive_fault(cache, record) is None
    )


def _read_back(cache: Cache, own: Realisation, trust: Trust, *, stated: bool) -> Realisation:
    """Return the object that the cache has for a recipe, once it can be read there; `own` unless it is `stated`.

    Another builder may have stated another object before, which then counts. Raises CacheError if the object cannot be
    read, or if the cache states one that is not trusted.
    """
    for pause in _PAUSES:
        time.sleep(pause)
        found = cache.realisation(own.recipe, trust) if stated else own
        if found is not None and cache.object(found.path, trust) is not None:
            if found.path != own.path and not trust.trusts(found):
                raise CacheError(f"{cache.name} states {found.path} for the recipe of {own.path}, by an unknown key")
            return replace(found, signatures=())
    raise CacheError(f"{cache.name} does not show {own.path} {sum(_PAUSES):g} s after it was pushed")
