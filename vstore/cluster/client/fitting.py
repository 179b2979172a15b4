"""The workers that fit a node: the resources that it asks for, and the errors if nothing goes on (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from vstore.build.recipe import Recipe
from vstore.cluster.client.connection import ClusterWorker
from vstore.cluster.resources import RELEASE_RESOURCE, key_resource, parse_resources
from vstore.errors import ClusterError
from vstore.plural import count
from vstore.remote import Trust
from vstore.target import Target
from vstore.values import frozen

_HINT = "`vstore worker SCHEDULER` starts a worker"
_RELEASE = re.compile(r"vstore-[0-9]+-[0-9]+")


@frozen
class Fitting:
    """The resources that nodes ask for. `own` are those that the configuration names, by the name of a layer.

    A node is built on its own platform if a worker has it, else on this machine's.
    """

    platforms: frozenset[str]
    own: Mapping[str, Mapping[str, float]] = {}

    @classmethod
    def of(cls, workers: Sequence[ClusterWorker], configured: Mapping[str, str]) -> Fitting:
        """Return the fitting for these workers. Raises UsageError for a malformed setting."""
        offered = {name for worker in workers for name in worker.resources}
        return cls(
            platforms=frozenset(offered & set(Target)),
            own={name: parse_resources(text) for name, text in configured.items()},
        )

    def platform(self, node: Recipe) -> str:
        """Return the platform of the workers that build a node."""
        return node.target if node.target in self.platforms else str(Target.host())

    def resources(self, node: Recipe, signer: str | None) -> dict[str, float]:
        """Return the resources that a task for a node asks for, one of each unless it is configured."""
        keys = [key_resource(signer)] if signer else []
        return {**dict.fromkeys((RELEASE_RESOURCE, self.platform(node), *keys), 1.0), **self.own.get(node.name, {})}


def signer_keys(workers: Sequence[ClusterWorker], trust: Trust) -> tuple[str, ...]:
    """Return the names of the trusted keys that workers of this release sign with."""
    fitting = [worker for worker in workers if RELEASE_RESOURCE in worker.resources]
    found = {key.name for key in trust.keys for worker in fitting if key_resource(key.name) in worker.resources}
    return tuple(sorted(found))


class SignerKeys:
    """The keys that tasks can be bound to, while workers come and go; none if a single key is enough.

    A key is lost once no worker has offered it for so many seconds. `clock` returns seconds.
    """

    def __init__(
        self, workers: Sequence[ClusterWorker], trust: Trust, limit_seconds: float, clock: Callable[[], float]
    ) -> None:
        """Raise ClusterError if more keys are required than the workers have."""
        self.names = signer_keys(workers, trust) if trust.require > 1 else ()
        self._trust = trust
        self._limit_seconds = limit_seconds
        self._clock = clock
        self._offered_at = dict.fromkeys(self.names, clock())
        if trust.require > 1 and len(self.names) < trust.require:
            offered = sorted(
                {one for worker in workers for one in worker.resources if one.startswith(key_resource(""))}
            )
            raise ClusterError(
                f"{trust.require} keys must sign, and the workers of the cluster have"
                f" {count(len(self.names), 'trusted key')}",
                details=[f"keys of workers: {', '.join(offered) or 'none'}"],
                hint="start workers with other keys, or set `require` to 1 in config.toml",
            )

    def update(self, workers: Sequence[ClusterWorker]) -> frozenset[str]:
        """Return the keys that are lost since the last call. No key is while fewer than required would remain."""
        if self._trust.require < 2:
            return frozenset()
        now = self._clock()
        self._offered_at |= dict.fromkeys(signer_keys(workers, self._trust), now)
        lost = frozenset(key for key, at in self._offered_at.items() if now - at >= self._limit_seconds)
        if len(self._offered_at) - len(lost) < self._trust.require:
            return frozenset()
        self._offered_at = {key: at for key, at in self._offered_at.items() if key not in lost}
        self.names = tuple(sorted(self._offered_at))
        return lost


def unfit_error(
    name: str, wanted: Mapping[str, float], workers: Sequence[ClusterWorker], limit_seconds: float
) -> ClusterError:
    """Return the error for a node that no worker has fitted for so long."""
    lacking = sorted(
        one for one, amount in wanted.items() if all(worker.resources.get(one, 0) < amount for worker in workers)
    )
    releases = sorted({one for worker in workers for one in worker.resources if _RELEASE.fullmatch(one)})
    number = count(len(workers), "worker")
    reason = f"{number}, none with {', '.join(lacking) or 'all of it'}" if workers else "no worker"
    details = [f"{name} asks for {_amounts(wanted)}"]
    if RELEASE_RESOURCE in lacking and releases:
        details.append(f"the workers are of {', '.join(releases)}, and this vstore is of {RELEASE_RESOURCE}")
    details += [f"worker {worker.name} offers {_amounts(worker.resources)}" for worker in workers[:10]]
    return ClusterError(
        f"no worker fitted {name} for {limit_seconds:g} s: the cluster has {reason}", details=details, hint=_HINT
    )


def _amounts(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(resources.items()))


class Watchdog:
    """Ends a run in which nothing goes on: no worker fits, or no worker that answers has one of its tasks.

    `clock` returns seconds.
    """

    def __init__(self, limit_seconds: float, clock: Callable[[], float]) -> None:
        self._limit_seconds = limit_seconds
        self._clock = clock
        self._moved_at = clock()
        self._unfit_since: dict[str, float] = {}

    def left_seconds(self) -> float:
        """Return the time until `check` may raise, at least a twentieth of a second."""
        since = min([self._moved_at, *self._unfit_since.values()])
        return max(since + self._limit_seconds - self._clock(), 0.05)

    def moved(self) -> None:
        """Note that a task began or finished."""
        self._moved_at = self._clock()

    def check(self, workers: Sequence[ClusterWorker], ready: Mapping[str, tuple[str, Mapping[str, float]]]) -> None:
        """Raise ClusterError if a task that could start has fitted no worker for the limit, or nothing happens.

        `ready` has the name and the resources of each task whose dependencies are done, by key.
        """
        now, awake = self._clock(), [one for one in workers if one.silent_seconds < self._limit_seconds]
        unfit = {key for key, (_, wanted) in ready.items() if not any(one.offers(wanted) for one in awake)}
        self._unfit_since = {key: self._unfit_since.get(key, now) for key in unfit}
        for key, since in self._unfit_since.items():
            if now - since >= self._limit_seconds:
                raise unfit_error(*ready[key], workers, self._limit_seconds)
        if unfit or any(key in ready for worker in awake for key in worker.tasks):
            self._moved_at = now
        elif now - self._moved_at >= self._limit_seconds and ready:
            name = next(iter(ready.values()))[0]
            raise ClusterError(
                f"nothing happened for {self._limit_seconds:g} s: no worker that answers has a task, and {name} waits",
                details=[f"worker {one.name} was silent for {one.silent_seconds:.0f} s" for one in workers[:10]],
                hint="restart the scheduler or its workers, and run the command again",
            )
