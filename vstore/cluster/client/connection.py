"""A client of a Dask scheduler: submits tasks, hears of the finished ones, and never waits beyond a limit.

No other module of the client knows Dask.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from vstore.cluster.client.reach import no_scheduler, wait_for_scheduler
from vstore.cluster.dask_settings import configure_dask
from vstore.cluster.tasks import AnswerState, ClusterAnswer, ClusterTask
from vstore.cluster.worker.work import EVENTS, realise_node
from vstore.errors import ClusterError, VstoreError
from vstore.plural import count
from vstore.reporter import NullReporter, Reporter
from vstore.values import frozen

if TYPE_CHECKING:
    from distributed import Security

_LEAST_SECONDS = 1.0  # for a scheduler that listens to answer, when loading Dask has taken the rest of the limit
_CLOSING_SECONDS = 2.0
_CLOSING_IN_VAIN_SECONDS = 0.2  # if the scheduler does not answer
_CALLS_IN_LIMIT = 4  # of workers that do not answer


@frozen
class ClusterWorker:
    """A worker: its name, its resources in units, and the seconds since this client saw a new sign of life.

    `tasks` are the keys of the tasks that it has.
    """

    name: str
    host: str
    resources: Mapping[str, float]
    silent_seconds: float
    tasks: tuple[str, ...] = ()

    def offers(self, wanted: Mapping[str, float]) -> bool:
        """Return whether a task that needs these resources fits on this worker."""
        return all(self.resources.get(name, 0) >= amount for name, amount in wanted.items())


@frozen
class Activity:
    """A report of a worker about a task that it carries out. `task` is the key of the task."""

    task: str
    worker: str
    activity: str


@frozen
class Finished:
    """A finished task: its key, and the answer or the error."""

    task: str
    answer: ClusterAnswer | VstoreError


class ClusterClient:
    """A connection to a scheduler. Each call raises ClusterError if the scheduler does not answer within the limit."""

    def __init__(self, client: Any, address: str, limit_seconds: float) -> None:
        self._client = client  # a `distributed.Client`, most of whose methods have no types
        self._address = address
        self._futures: dict[str, Any] = {}
        self._seen: dict[str, tuple[float, float]] = {}  # by address: the time that it states, and when that was new
        self._happened: SimpleQueue[str | Activity] = SimpleQueue()
        self.limit_seconds = limit_seconds
        client.subscribe_topic(EVENTS, self._report)

    @classmethod
    @contextmanager
    def connected(
        cls, address: str, security: Security | None, *, limit_seconds: float, reporter: Reporter | None = None
    ) -> Iterator[ClusterClient]:
        """Yield a client of the scheduler at an address, once it answers.

        When the block ends, tasks that have not started are dropped. Raises ClusterError if nothing answers there.
        """
        ends = time.monotonic() + limit_seconds
        arguments = security.get_connection_args("client") if security else {}  # type: ignore[no-untyped-call]
        wait_for_scheduler(address, arguments.get("ssl_context"), limit_seconds, (reporter or NullReporter()).note)
        from distributed import Client

        left = max(ends - time.monotonic(), _LEAST_SECONDS)

        class LimitedClient(Client):
            async def _start(self, *arguments: Any, **options: Any) -> None:  # Dask waits forever for the first reply
                await asyncio.wait_for(super()._start(*arguments, **options), left)  # type: ignore

        configure_dask(log=False)
        try:
            client: Any = LimitedClient(  # type: ignore[no-untyped-call]
                address,
                security=security,
                timeout=left,
                set_as_default=False,
                name="vstore",
                direct_to_workers=False,
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise no_scheduler(address, limit_seconds, str(error)) from error
        closing_seconds = _CLOSING_SECONDS
        try:
            yield cls(client, address, limit_seconds)
        except ClusterError:
            closing_seconds = _CLOSING_IN_VAIN_SECONDS
            raise
        finally:
            with suppress(Exception):
                client.close(timeout=closing_seconds)

    def workers(self) -> tuple[ClusterWorker, ...]:
        """Return the workers of the cluster, by name."""
        found = self._ask("identity")["workers"]
        tasks = self._ask("processing")
        now = time.monotonic()
        for address, one in found.items():  # the clock of the scheduler may differ, so changes of its times count
            if self._seen.get(address, (None, 0.0))[0] != one["last_seen"]:
                self._seen[address] = one["last_seen"], now
        return tuple(
            ClusterWorker(
                name=str(one["name"]),
                host=str(one["host"]),
                resources=one["resources"],
                silent_seconds=now - self._seen[address][1],
                tasks=tuple(map(str, tasks.get(address, ()))),
            )
            for address, one in sorted(found.items(), key=lambda pair: str(pair[1]["name"]))
            if one["status"] == "running"
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
        """Submit a task that depends on other tasks of this client, given by key. Return its key.

        Tasks of high priority start first. `prefer` names workers that are to have it while there are any.
        """
        key = task.key
        future = self._client.submit(
            realise_node,
            task.encode(),
            *(self._futures[one] for one in below),
            key=key,
            resources=dict(resources),
            priority=priority,
            workers=list(prefer) or None,
            allow_other_workers=bool(prefer),
            pure=False,
            retries=0,
        )
        self._futures[key] = future
        self._watch(key)
        return key

    def happened(self, wait_seconds: float) -> list[Finished | Activity]:
        """Return what happened since the last call, activities first. Wait so long if nothing did.

        Finished tasks are forgotten.
        """
        found: list[str | Activity] = []
        with suppress(Empty):
            found.append(self._happened.get(timeout=wait_seconds))
            while True:
                found.append(self._happened.get_nowait())
        ended = {one for one in found if isinstance(one, str) and one in self._futures}
        activities = [one for one in found if isinstance(one, Activity)]
        answers = self._answers(ended)
        self.forget(answers)
        return [*activities, *(Finished(task=one, answer=answer) for one, answer in answers.items())]

    def call(self, worker: str, function: Callable[[str], Coroutine[Any, Any, str]], text: str) -> str:
        """Call a function on a worker, beside its tasks, and return what it returns; if that fails, the reason."""
        found = self._ask("identity")["workers"]
        addresses = [address for address, one in found.items() if str(one["name"]) == worker]
        limit = self.limit_seconds / _CALLS_IN_LIMIT
        run, options = self._client.run, {"workers": addresses, "callback_timeout": limit}
        try:
            (answer,) = self._client.sync(run, function, text, **options).values()
        except TimeoutError:
            return f"it did not answer within {limit:g} s"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return str(answer)

    def forget(self, tasks: Iterable[str]) -> None:
        """Forget tasks, given by key. The scheduler drops those that nobody else wants and that have not started.

        It keeps results as long as other tasks need them. A result that nobody needs would be made again if its worker
        was lost.
        """
        for task in tasks:
            if (future := self._futures.pop(task, None)) is not None:
                with suppress(Exception):
                    future.release()

    def forget_all(self) -> None:
        """Forget all tasks."""
        self.forget(tuple(self._futures))

    def _report(self, event: tuple[float, Mapping[str, str]]) -> None:
        """Note what a worker reports of a task of this client. Dask calls this from its own thread."""
        found = event[1]
        if found["key"] in self._futures and found["state"] not in set(AnswerState):
            self._happened.put(Activity(task=found["key"], worker=found["worker_name"], activity=found["state"]))

    def _watch(self, key: str) -> None:
        """Note in `_happened` when a task ends."""
        self._futures[key].add_done_callback(lambda _: self._happened.put(key))

    def _answers(self, keys: Iterable[str]) -> dict[str, ClusterAnswer | VstoreError]:
        """Return the answers of tasks that have ended, from one request.

        A task whose answer was lost with a worker is carried out again by Dask, and left out here.
        """
        states = {key: self._futures[key].status for key in keys}
        finished = {key for key, state in states.items() if state == "finished"}
        texts: dict[str, str] = {}
        while finished - texts.keys():
            response = self._ask("gather", keys=sorted(finished))
            finished -= set(response.get("keys", ()))  # those that were lost
            texts = response.get("data", {})
        failed = {key for key, state in states.items() if state in ("error", "cancelled")}
        for key in states.keys() - finished - failed:
            self._watch(key)
        return {key: self._answer(key, texts.get(key)) for key in finished | failed}

    def _answer(self, key: str, text: str | None) -> ClusterAnswer | VstoreError:
        """Return the answer that is in a text; without one the error of the task."""
        from distributed import KilledWorker

        try:
            return ClusterAnswer.parse(text or self._futures[key].result(timeout=self.limit_seconds))
        except VstoreError as error:
            return error
        except KilledWorker as error:
            lost = count(error.allowed_failures + 1, "worker")
            return ClusterError(f"{lost} were lost while building {key.rpartition('-')[0]}")
        except TimeoutError as error:
            raise self._silent() from error
        except Exception as error:
            if self._client.status != "running":
                raise self._gone() from error
            return ClusterError(f"{key}: {type(error).__name__}: {error}")

    def _ask(self, operation: str, **arguments: object) -> Any:
        """Call an operation of the scheduler."""
        if self._client.status != "running":
            raise self._gone()
        try:
            called = getattr(self._client.scheduler, operation)
            return self._client.sync(called, callback_timeout=self.limit_seconds, **arguments)
        except TimeoutError as error:
            raise self._silent() from error
        except OSError as error:
            raise self._gone() from error

    def _silent(self) -> ClusterError:
        return ClusterError(
            f"the scheduler at {self._address} did not answer within {self.limit_seconds:g} s",
            hint="what workers have pushed is kept: run the command again once the scheduler answers",
        )

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"the connection to the scheduler at {self._address} was lost",
            hint="what workers have pushed is kept: run the command again once there is a scheduler",
        )
