"""The summary of a run: which worker built what, what sharing spared, and what limited the whole (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from vstore.build.recipe import Recipe
from vstore.cluster.tasks import ClusterAnswer
from vstore.graph import reachable
from vstore.objects import StorePath
from vstore.realise.model import Origin
from vstore.realise.plan.graph import levels
from vstore.values import frozen


@frozen
class WorkerSummary:
    """The work of one worker in a run: nodes, the seconds that they took, and the bytes and requests to caches."""

    worker: str
    host: str
    built: tuple[str, ...]
    substituted: int
    seconds: float
    pushed_bytes: int
    fetched_bytes: int
    requests: int


@frozen
class PathStep:
    """A node of the critical path, and its seconds."""

    name: str
    target: str
    seconds: float


@frozen
class ClusterSummary:
    """A run on a cluster. `cached` nodes of `nodes` were in the cache before.

    `shared_seconds` and `shared_bytes` are what building each stack alone would have added. `critical_path` is the
    longest chain of nodes, from the lowest up: no number of workers makes the run shorter. `pushed_bytes` were sent
    from this machine.
    """

    nodes: int
    cached: int
    workers: tuple[WorkerSummary, ...]
    shared_seconds: float
    shared_bytes: int
    critical_path: tuple[PathStep, ...]
    seconds: float
    pushed_bytes: int

    @property
    def critical_seconds(self) -> float:
        """The seconds of the critical path."""
        return sum(one.seconds for one in self.critical_path)


def summarise(
    nodes: Mapping[StorePath, Recipe],
    stacks: Sequence[StorePath],
    answers: Mapping[StorePath, Sequence[ClusterAnswer]],
    *,
    cached: int,
    seconds: float,
    pushed_bytes: int,
) -> ClusterSummary:
    """Summarise a run. `stacks` are the nodes that were asked for, `answers` those of the workers that did a node."""
    uses = dict.fromkeys(answers, 0)
    for stack in stacks:
        for key in reachable([stack], lambda key: nodes[key].all_dependencies) & answers.keys():
            uses[key] += 1
    again = {key: max(number - 1, 0) for key, number in uses.items()}
    return ClusterSummary(
        nodes=len(nodes),
        cached=cached,
        workers=_workers(chain.from_iterable(answers.values())),
        shared_seconds=sum(number * sum(map(_seconds, answers[key])) for key, number in again.items()),
        shared_bytes=sum(number * (answers[key][0].outcome.size_bytes or 0) for key, number in again.items()),
        critical_path=_critical_path(nodes, {key: max(map(_seconds, given)) for key, given in answers.items()}),
        seconds=seconds,
        pushed_bytes=pushed_bytes,
    )


def _is(answer: ClusterAnswer, origin: Origin) -> bool:
    return answer.outcome.layer is not None and answer.outcome.layer.origin == origin


def _workers(answers: Iterable[ClusterAnswer]) -> tuple[WorkerSummary, ...]:
    by_worker: dict[tuple[str, str], list[ClusterAnswer]] = {}
    for answer in answers:
        by_worker.setdefault((answer.worker, answer.host), []).append(answer)
    return tuple(
        WorkerSummary(
            worker=worker,
            host=host,
            built=tuple(one.outcome.result().name for one in given if _is(one, Origin.BUILT)),
            substituted=sum(_is(one, Origin.SUBSTITUTED) for one in given),
            seconds=sum(map(_seconds, given)),
            pushed_bytes=sum(one.pushed_bytes for one in given),
            fetched_bytes=sum(one.fetched_bytes for one in given),
            requests=sum(one.requests for one in given),
        )
        for (worker, host), given in sorted(by_worker.items())
    )


def _seconds(answer: ClusterAnswer) -> float:
    return answer.outcome.layer.seconds if answer.outcome.layer else 0.0


def _critical_path(nodes: Mapping[StorePath, Recipe], seconds: Mapping[StorePath, float]) -> tuple[PathStep, ...]:
    """Return the chain of nodes that took longest, among those with `seconds`."""
    longest: dict[StorePath, float] = {}
    below: dict[StorePath, StorePath | None] = {}
    for level in levels(nodes):
        for key in level:
            lower = max(nodes[key].all_dependencies, key=longest.__getitem__, default=None)
            below[key] = lower
            longest[key] = seconds.get(key, 0.0) + (longest[lower] if lower else 0.0)
    step = max(longest, key=longest.__getitem__, default=None)
    path = []
    while step is not None:
        if step in seconds:
            path.append(PathStep(name=nodes[step].name, target=nodes[step].target, seconds=seconds[step]))
        step = below[step]
    return tuple(reversed(path))
