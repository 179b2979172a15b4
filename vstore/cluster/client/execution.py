"""The tasks of one run: which to submit now, what their answers mean, and when the run ends.

All nodes are submitted at once, each with the tasks of its dependencies. A node is done once its answer is trusted;
where several keys are required, once that many state the same object. A build error is final. An answer that the cache
or the worker was unavailable is tried elsewhere, at most twice. So is a node whose worker was lost while it ran.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from vstore.build.recipe import LayerRecipe, Recipe
from vstore.cluster.client.agreement import agreed_object, choose_keys, dissenters
from vstore.cluster.client.answers import disagreement_error, failure_of, untrusted_error, write_agreed
from vstore.cluster.client.connection import Activity, ClusterClient, Finished
from vstore.cluster.client.events import NodeEvent, NodeState
from vstore.cluster.client.fitting import Fitting, SignerKeys, Watchdog
from vstore.cluster.client.inputs import Inputs
from vstore.cluster.client.run import ClusterRun
from vstore.cluster.tasks import AnswerState, ClusterAnswer, ClusterTask
from vstore.cluster.worker.work import STARTED
from vstore.errors import ClusterError, VstoreError
from vstore.graph import reachable
from vstore.objects import StorePath
from vstore.plural import count
from vstore.realise.execute.messages import NodeTask
from vstore.realise.model import RealisedLayer
from vstore.realise.plan.document import Node
from vstore.realise.plan.graph import levels, priorities, users

_MAX_UNAVAILABLE = 3  # answers for one node, before it has failed
_MAX_LOST = 3  # workers that ran one task, before it counts as the cause
_MAX_ATTEMPTS = 10
_MAX_KEY_SECONDS = 30.0  # that tasks wait for a worker with their key to come back
_UNKNOWN_SECONDS = 1.0  # of a build, for the priorities
_POLL_SECONDS = 1.0


@dataclass
class _Work:
    """The work on one node: its running tasks by key, the answers by signer, and what was tried.

    `starts` are the workers on which each task has started, `withdrawn` how often all its tasks were given up.
    """

    node: Recipe
    running: dict[str, str | None] = field(default_factory=dict)
    answers: dict[str, ClusterAnswer] = field(default_factory=dict)
    starts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    attempts: int = 0
    withdrawn: int = 0
    unavailable: list[ClusterAnswer] = field(default_factory=list)

    @property
    def votes(self) -> dict[str, StorePath]:
        """The object that each signer states."""
        return {key: one.realisation.path for key, one in self.answers.items() if one.realisation}


class Execution:
    """Carries out nodes whose dependencies are among them or in `known`."""

    def __init__(
        self,
        client: ClusterClient,
        run: ClusterRun,
        nodes: Mapping[StorePath, Recipe],
        known: Mapping[StorePath, RealisedLayer],
        inputs: Inputs,
    ) -> None:
        self._client = client
        self._run = run
        self._inputs = inputs
        self._work = {key: _Work(nodes[key]) for level in levels(nodes) for key in level if key in nodes}
        self._order = {key: number for number, key in enumerate(self._work)}
        self._objects = {key: one.path for key, one in known.items() if one.path}
        self._waiting = list(self._work)  # nodes that may be submitted
        self._nodes_of: dict[str, StorePath] = {}  # by task
        self._running: set[str] = set()  # tasks
        self._avoid: set[str] = set()
        self._users = users(nodes)
        self._priorities = priorities(nodes, self._expected_seconds)
        self.done: dict[StorePath, RealisedLayer] = {}
        self.failures: dict[StorePath, VstoreError] = dict(inputs.failures)
        self.answers: dict[StorePath, tuple[ClusterAnswer, ...]] = {}
        self.unbuilt: set[StorePath] = set()
        workers = client.workers()
        self._fitting = Fitting.of(workers, run.store.config.cluster.resources)
        self._keys = SignerKeys(workers, run.trust, min(_MAX_KEY_SECONDS, client.limit_seconds / 2), time.monotonic)
        self._workers = workers

    def run(self) -> None:
        """Submit tasks and take answers until nothing is left, or a failure ends the run."""
        watchdog = Watchdog(self._client.limit_seconds, time.monotonic)
        checked_at = time.monotonic()
        while self._submit():
            self._run.cancel.check()
            wait_seconds = min(_POLL_SECONDS, watchdog.left_seconds())
            happened = self._client.happened(wait_seconds)
            if happened:
                watchdog.moved()
            for one in happened:
                if isinstance(one, Activity):
                    self._follow(one)
            finished = [one for one in happened if isinstance(one, Finished)]
            for one in sorted(finished, key=lambda one: self._order[self._nodes_of[one.task]]):  # dependencies first
                self._take(one)
            if time.monotonic() - checked_at >= wait_seconds:
                checked_at = time.monotonic()
                self._workers = self._client.workers()
                self._leave_lost_keys()
                watchdog.check(self._workers, self._ready())

    def _submit(self) -> bool:
        """Submit every node that can be, those below first; return whether tasks are running."""
        if self.failures and not self._run.keep_going:
            return False
        queue = sorted((self._order[key], key) for key in self._waiting)
        self._waiting = []
        while queue:
            _, key = heappop(queue)
            work = self._work[key]
            if key in self.done or key in self.failures or work.running:
                continue
            below = [one for one in work.node.all_dependencies if one not in self._objects]
            if all(self._work[one].running and not self._work[one].answers for one in below):
                self._submit_node(key, work, below)
                for one in self._users.get(key, ()):
                    heappush(queue, (self._order[one], one))
        return bool(self._running)

    def _submit_node(self, key: StorePath, work: _Work, below: Sequence[StorePath]) -> None:
        """Submit the tasks of a node over the running tasks of the nodes `below`."""
        run, node = self._run, work.node
        signers: tuple[str | None, ...] = (None,)
        if run.trust.require > 1:
            signers = choose_keys(key, work.votes, self._keys.names, run.trust.require, avoid=self._avoid)
            if not signers:
                self._fail(key, disagreement_error(node.name, work.answers))
                return
        wheels = [one.sha256 for one in node.wheels] if isinstance(node, LayerRecipe) else []
        failed_on = {one.worker for one in work.unavailable}
        others = [one for one in self._workers if one.name not in failed_on] if failed_on else []
        for signer in signers:
            task = ClusterTask(
                work=self._task(node),
                cache=run.cache.url,
                signer=signer,
                attempt=work.attempts + work.withdrawn,
                wheels={one: self._inputs.wheels[one] for one in wheels if one in self._inputs.wheels},
            )
            self._nodes_of[task.key] = key
            work.running[task.key] = signer
            self._running.add(task.key)
            resources = self._fitting.resources(node, signer)
            self._client.submit(
                task,
                [other for one in below for other in self._work[one].running],
                resources=resources,
                priority=self._priorities[key],
                prefer=[one.name for one in others if one.offers(resources)],
            )
        if work.attempts + work.withdrawn == 0 and not work.answers:
            self._tell(key, NodeState.WAITING, "waiting")

    def _task(self, node: Recipe) -> NodeTask:
        """Return the task of a node, with the known objects below it, and this machine's compiler if it needs that."""
        known = {one: self._objects[one] for one in node.all_dependencies if one in self._objects}
        compiler = None
        if isinstance(node, LayerRecipe) and self._fitting.platform(node) != node.target:
            compiler = self._inputs.compilers.get(node.python)
        return NodeTask(
            node=Node(recipe=node, objects=known), compiler=compiler, lock=self._run.lock_names.get(node.key)
        )

    def _expected_seconds(self, node: Recipe) -> float:
        cost = self._run.store.realisations.expected_cost(node.name)
        return cost.seconds if cost else _UNKNOWN_SECONDS

    def _ready(self) -> dict[str, tuple[str, Mapping[str, float]]]:
        """Return the name and the resources of each running task whose dependencies are done."""
        return {
            task: (work.node.name, self._fitting.resources(work.node, signer))
            for work in self._work.values()
            if all(one in self._objects for one in work.node.all_dependencies)
            for task, signer in work.running.items()
        }

    def _follow(self, activity: Activity) -> None:
        """Tell of a running task. Fail a node that starts again because the workers that ran it were lost."""
        key = self._nodes_of[activity.task]
        work = self._work[key]
        if activity.task not in work.running:
            return
        starts = work.starts[activity.task]
        if activity.activity == STARTED:
            if starts:
                name = work.node.name
                self._run.reporter.warn(f"worker {starts[-1]} was lost: {activity.worker} starts {name} again")
                self._tell(key, NodeState.WAITING, "waiting", starts[-1])
            starts.append(activity.worker)
        self._tell(key, NodeState.RUNNING, activity.activity, activity.worker)
        if len(starts) > _MAX_LOST:
            self._withdraw([key])
            lost = count(_MAX_LOST, "worker")
            self._fail(key, ClusterError(f"{lost} were lost while building {work.node.name}"), unbuilt=True)

    def _leave_lost_keys(self) -> None:
        """Let other keys sign what waits for a worker that does not come back."""
        if lost := self._keys.update(self._workers):
            self._run.reporter.note(f"no worker signs with {', '.join(sorted(lost))} any more: others are asked")
            self._withdraw(key for key, work in self._work.items() if not lost.isdisjoint(work.running.values()))

    def _withdraw(self, keys: Iterable[StorePath]) -> None:
        """Give up the tasks of nodes, and of all nodes above them, as these wait for them."""
        for key in reachable(keys, lambda one: self._users.get(one, ())):
            work = self._work[key]
            if work.running:
                self._client.forget(work.running)
                self._running -= work.running.keys()
                self._waiting.append(key)
                work.running.clear()
                work.withdrawn += 1
                self._tell(key, NodeState.WAITING, "waiting")

    def _take(self, finished: Finished) -> None:
        """Take the answer of a task."""
        key = self._nodes_of[finished.task]
        work, answer = self._work[key], finished.answer
        if finished.task not in work.running:
            return
        signer = work.running.pop(finished.task)
        self._running.discard(finished.task)
        self._waiting += (key, *self._users.get(key, ()))
        if any(one not in self._objects for one in work.node.all_dependencies):
            work.attempts += 1  # the error is that of a node below, or an answer that it was not done
        elif isinstance(answer, VstoreError):
            self._fail(key, answer, unbuilt=True)
        elif answer.state == AnswerState.DONE:
            self._count(key, work, signer, answer)
        elif answer.state == AnswerState.FAILED:
            self._fail(key, failure_of(answer), answer.worker)
        elif answer.state == AnswerState.UNAVAILABLE:
            work.attempts += 1
            work.unavailable.append(answer)
            if len(work.unavailable) >= _MAX_UNAVAILABLE:
                self._fail(key, failure_of(answer), answer.worker, unbuilt=True)
        else:
            work.attempts += 1
        if work.attempts > _MAX_ATTEMPTS and key not in self.failures:
            self._fail(key, ClusterError(f"{work.node.name} was tried {work.attempts} times in vain"), unbuilt=True)
        if key not in self.done and key not in self.failures:
            self._tell(key, NodeState.WAITING, "waiting", answer.worker if isinstance(answer, ClusterAnswer) else None)

    def _count(self, key: StorePath, work: _Work, signer: str | None, answer: ClusterAnswer) -> None:
        """Count the object of an answer whose signature is trusted. The node is done once enough keys state it."""
        trust, record, name = self._run.trust, answer.realisation, work.node.name
        recipe = work.node.over(self._objects).digest
        if record is None or record.recipe != recipe:
            self._fail(key, ClusterError(f"{name}: worker {answer.worker} answered for another recipe"), unbuilt=True)
            return
        signed = trust.signers(record)
        names = {one.name for one in trust.keys if one.raw in signed}
        if not names or (signer is not None and signer not in names):
            config = self._run.store.layout.config_file
            self._fail(key, untrusted_error(name, answer, config), unbuilt=True)
            return
        work.answers[signer or min(names)] = answer
        agreed = agreed_object(work.votes, trust.require)
        if agreed is None:
            return
        odd = dissenters(work.votes, agreed)
        agreeing = [one for signed_by, one in work.answers.items() if signed_by not in odd]
        if trust.require > 1:
            write_agreed(self._run, name, agreeing, [work.answers[one] for one in odd])
            self._avoid.update(odd)
        self._settle(key, work, agreeing[0])

    def _settle(self, key: StorePath, work: _Work, answer: ClusterAnswer) -> None:
        """Note that a node is done."""
        layer = answer.outcome.result()
        assert layer.path is not None
        self.done[key], self._objects[key], self.answers[key] = layer, layer.path, tuple(work.answers.values())
        self._tell(key, NodeState.DONE, str(layer.origin), answer.worker, layer.seconds)

    def _fail(self, key: StorePath, error: VstoreError, worker: str | None = None, *, unbuilt: bool = False) -> None:
        """Note that a node failed, perhaps on a worker. With `unbuilt` another machine may be able to build it."""
        self.failures[key] = error
        if unbuilt:
            self.unbuilt.add(key)
        self._tell(key, NodeState.FAILED, "failed", worker)

    def _tell(
        self, key: StorePath, state: NodeState, activity: str, worker: str | None = None, seconds: float = 0.0
    ) -> None:
        node = self._work[key].node
        self._run.on_event(
            NodeEvent(
                name=node.name,
                target=node.target,
                state=state,
                activity=activity,
                worker=worker,
                seconds=seconds,
                done=len(self.done),
                total=len(self._work),
            )
        )
