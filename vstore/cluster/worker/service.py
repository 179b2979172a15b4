"""A worker of a cluster: that of Dask, one process, whose tasks realise nodes in a store of its own."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vstore.cluster.address import SchedulerAddress
from vstore.cluster.dask_settings import CONNECT_SECONDS, configure_dask
from vstore.cluster.resources import RELEASE_RESOURCE, key_resource
from vstore.cluster.security import TlsFiles, security_for
from vstore.cluster.worker.self_check import check_machine, check_scheduler
from vstore.cluster.worker.work import EVENTS, NodeWorker, serve
from vstore.errors import ClusterError, UsageError
from vstore.plural import count
from vstore.reporter import Reporter
from vstore.store import Store, StoreLayout
from vstore.store.staging import staging
from vstore.target import Target
from vstore.values import frozen

if TYPE_CHECKING:
    from distributed import Security, Worker

SCHEDULER_SECONDS = 60.0  # without an answer, before a worker gives its scheduler up
_HAND_OVER_SECONDS = 0.2  # for the last answers to reach the scheduler


@frozen
class WorkerOptions:
    """The options of a worker.

    `jobs` nodes are realised at the same time, by default one for each core. `resources` are offered beside the
    platform, the release and the keys. The store takes at most `max_store_bytes` after each node. When the worker is
    to end, running nodes have `drain_seconds`. `insecure` allows a scheduler on another machine without TLS.
    """

    scheduler: SchedulerAddress
    name: str | None = None
    jobs: int | None = None
    resources: Mapping[str, float] = {}
    max_store_bytes: int | None = None
    drain_seconds: float = 600.0
    tls: TlsFiles | None = None
    insecure: bool = False
    log: bool = False


def run_worker(root: Path, options: WorkerOptions, reporter: Reporter) -> None:
    """Work for a scheduler with the store at `root`, until this process gets SIGTERM or SIGINT.

    The first signal lets running nodes end, the second ends the process at once. Raises UsageError, StoreError or
    ToolError if this machine is not fit, and ClusterError if the scheduler does not answer.
    """
    security = security_for(options.scheduler, options.tls, insecure=options.insecure)
    cores = os.cpu_count() or 1
    jobs = options.jobs or cores
    with Store.open(root) as store:
        keys = check_machine(store)
    node_worker = NodeWorker(
        root,
        options.name or f"{platform.node()}-{os.getpid()}",
        keys,
        jobs=max(1, cores // jobs),
        max_store_bytes=options.max_store_bytes,
        reporter=reporter,
    )
    own = (str(Target.host()), RELEASE_RESOURCE, *(key_resource(key.name) for key in keys))
    resources = {**dict.fromkeys(own, float(jobs)), **options.resources}
    configure_dask(log=options.log)
    serve(node_worker)
    with staging(StoreLayout(root), "worker", keep_failed=False) as scratch:  # so a collection removes what is left
        make = partial(_make_worker, node_worker.name, jobs, resources, str(scratch))
        asyncio.run(_Service(node_worker, options, reporter).run(make, security))
    node_worker.close()


def _make_worker(
    name: str, jobs: int, resources: Mapping[str, float], scratch: str, url: str, security: Security | None
) -> Worker:
    from distributed import Worker

    return Worker(
        url,
        name=name,
        nthreads=jobs,
        resources=dict(resources),
        local_directory=scratch,
        memory_limit=0,
        security=security,
        dashboard=False,
        dashboard_address="127.0.0.1:0",
        death_timeout=SCHEDULER_SECONDS,
    )


class _Service:
    """The life of one worker: join, work, and end when it is told to or when the scheduler has gone."""

    def __init__(self, node_worker: NodeWorker, options: WorkerOptions, reporter: Reporter) -> None:
        self._node_worker = node_worker
        self._options = options
        self._reporter = reporter
        self._told_to_end = asyncio.Event()

    async def run(self, make: Callable[[str, Security | None], Worker], security: Security | None) -> None:
        """Work until a signal. Raises ClusterError if the scheduler does not answer any more."""
        url = self._options.scheduler.url
        await check_scheduler(url, security)
        self._listen_to_signals()
        worker = make(url, security)
        await self._join(worker)
        self._node_worker.report = lambda event: worker.log_event(EVENTS, dict(event))
        finished = worker.finished()  # type: ignore[no-untyped-call]
        watched = (self._told_to_end.wait(), finished, self._scheduler_is_silent(worker))
        waits = [asyncio.ensure_future(one) for one in watched]
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        if waits[0] in done:
            await self._drain(worker)
            return
        left = await asyncio.to_thread(self._node_worker.wait_idle, self._options.drain_seconds)
        silent = waits[2] in done and waits[2].exception() is None
        reason = f"no answer for {SCHEDULER_SECONDS:g} s" if silent else "the connection was lost"
        raise ClusterError(
            f"the scheduler at {url}: {reason}" + (f"; {count(left, 'node')} not done" if left else ""),
            hint="start the worker again, as a service manager does; what it has pushed is kept",
        )

    async def _join(self, worker: Worker) -> None:
        """Register with the scheduler. Raises UsageError if the name is taken, else ClusterError."""
        try:
            await worker
        except Exception as error:
            causes = [str(error)]
            while (error := error.__cause__ or error.__context__) is not None:  # type: ignore[assignment]
                causes.append(str(error))
            if any("name taken" in cause for cause in causes):
                raise UsageError(
                    f"the scheduler has a worker {worker.name} already", hint="choose another --name"
                ) from None
            raise ClusterError(f"the worker could not join {self._options.scheduler.url}: {causes[-1]}") from None
        offers = ", ".join(f"{name}={units:g}" for name, units in sorted(worker.state.total_resources.items()))
        self._reporter.note(
            f"worker {worker.name} joined {self._options.scheduler.url}:"
            f" {count(worker.state.nthreads, 'job')}, offers {offers}"
        )

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()

        def told(number: int) -> None:
            if self._told_to_end.is_set():
                os._exit(128 + number)
            self._told_to_end.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):  # on Windows
                loop.add_signal_handler(number, told, number)

    async def _scheduler_is_silent(self, worker: Worker) -> None:
        """Return once the scheduler has not answered for the limit."""
        answered_at = time.monotonic()
        while time.monotonic() - answered_at < SCHEDULER_SECONDS:
            await asyncio.sleep(CONNECT_SECONDS / 2)
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(worker.scheduler.ncores(workers=[worker.address]), CONNECT_SECONDS)
                answered_at = time.monotonic()

    async def _drain(self, worker: Worker) -> None:
        """Take no more tasks, give back those that wait, let the running ones end, and hand the answers over."""
        from distributed import Status

        self._reporter.note(f"worker {worker.name} takes no more tasks, and ends after the running ones")
        worker.status = Status.closing_gracefully
        for task in (*worker.state.ready, *worker.state.constrained):
            worker.batched_send({"op": "reschedule", "key": task.key, "stimulus_id": f"vstore-drain-{time.time()}"})
        left = await asyncio.to_thread(self._node_worker.wait_idle, self._options.drain_seconds)
        if left:
            self._reporter.warn(f"{count(left, 'node')} not done after {self._options.drain_seconds:g} s")
        else:
            await asyncio.sleep(_HAND_OVER_SECONDS)
            with suppress(Exception):  # the scheduler ends too, perhaps
                retiring = worker.scheduler.retire_workers(workers=[worker.address], close_workers=False)
                await asyncio.wait_for(retiring, CONNECT_SECONDS)
        await worker.close(timeout=CONNECT_SECONDS, executor_wait=False, reason="drained")
        self._reporter.note(f"worker {worker.name} has ended")
