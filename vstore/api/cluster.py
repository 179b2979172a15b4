"""A cluster: realise specs on the workers of a scheduler.

Example::

    from pathlib import Path
    from vstore.api import cluster, realising, stores
    from vstore.errors import VstoreError

    address = cluster.SchedulerAddress.parse("tcp://127.0.0.1:8786")
    options = cluster.ClusterOptions(cache="/srv/cache", channel="{profile}-{platform}")
    with stores.open_store() as store:
        try:
            done = cluster.realise_on(store, [realising.Request(spec=Path("spec.toml"))], address, options)
            print(done.stacks[0].generation, done.summary.critical_seconds)
        except VstoreError as error:
            print(error)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain

from vstore.api._malicious import refusing_malicious
from vstore.cluster.address import SchedulerAddress
from vstore.cluster.client.connection import ClusterClient
from vstore.cluster.client.events import NodeEvent, NodeState
from vstore.cluster.client.inputs import InputMaker
from vstore.cluster.client.realise import ClusterOptions, ClusterRealised, Fetch, realise_prepared
from vstore.cluster.client.run import ClusterRun
from vstore.cluster.client.summary import ClusterSummary, PathStep, WorkerSummary
from vstore.cluster.security import TlsFiles, security_for
from vstore.errors import UsageError
from vstore.extras import require_extra
from vstore.lock import Project
from vstore.objects import StorePath
from vstore.realise.model import Request
from vstore.realise.prepare import PreparedRequest, prepare
from vstore.realise.session import Session
from vstore.remote import Signer, open_cache, signing_keys, trust_of
from vstore.remote.records.channels import trust_hint
from vstore.remote.transport.protocol import PATIENT
from vstore.reporter import NullReporter, Reporter, Unit
from vstore.store import Store

__all__ = [
    "ClusterOptions",
    "ClusterRealised",
    "ClusterSummary",
    "Fetch",
    "NodeEvent",
    "NodeState",
    "PathStep",
    "SchedulerAddress",
    "TlsFiles",
    "WorkerSummary",
    "realise_on",
]


def realise_on(
    store: Store,
    requests: Iterable[Request],
    address: SchedulerAddress,
    options: ClusterOptions,
    *,
    reporter: Reporter | None = None,
    on_event: Callable[[NodeEvent], object] | None = None,
) -> ClusterRealised:
    """Lock specs here, realise them on the workers of a scheduler, and fetch what `options` ask for.

    A request is taken from `requests` when the specs of those before it are locked; the first one's options are those
    of the run.
    `on_event` is called for each change of the state of a node; without it they are progress for the `reporter`.
    Raises UsageError, SpecError, LockError, CacheError, ClusterError, or one error for all nodes that failed; what was
    built before it is in the cache.
    """
    require_extra("cluster", "clusters")
    left = iter(requests)
    first = next(left)
    if not first.is_whole:
        raise UsageError(
            "a cluster realises whole stacks, without --include, --check and --dry-run",
            hint="`vstore plan SPEC --cache CACHE` shows what is to be built",
        )
    signer = _signer(store, options)
    security = security_for(address, options.tls, insecure=options.insecure)
    reporter = reporter or NullReporter()
    session = Session.open(
        store, offline=first.offline, environment=first.environment, jobs=first.jobs, reporter=reporter
    )
    with refusing_malicious(session).with_caches(first.caches, offline=first.offline) as session:
        limits = PATIENT.within(options.limit_seconds)
        cache = open_cache(options.cache, store.config.caches, limits=limits, cancel=session.cancel, reporter=reporter)
        prepared = [prepare(session, _load(one), one) for one in chain([first], left)]
        run = ClusterRun(
            store=store,
            cache=cache,
            signer=signer,
            trust=trust_of(store.config),
            makers={key: maker for one in prepared for key, maker in _makers(one).items()},
            cancel=session.cancel,
            reporter=session.reporter,
            on_event=on_event or partial(report_event, session.reporter),
            lock_names={key: text for one in prepared for key, text in _lock_names(one).items()},
            keep_going=first.keep_going,
        )
        connect = partial(
            ClusterClient.connected,
            address.url,
            security,
            limit_seconds=options.limit_seconds,
            reporter=session.reporter,
        )
        return realise_prepared(connect, run, prepared, options)


def _load(request: Request) -> Project:
    return Project.load(request.spec, environment=request.environment, allow_outside=request.allow_outside)


def _signer(store: Store, options: ClusterOptions) -> Signer:
    """Return the signer of this store. Raises UsageError without a key, or if its signature alone cannot count."""
    signer = Signer(signing_keys(store.layout.keys), trust_of(store.config))
    if not signer.keys:
        raise UsageError(
            "this store has no key, and workers take signed objects only", hint="`vstore key generate NAME` makes one"
        )
    if not store.config.trusted_keys:
        raise UsageError("no key is trusted, so no object of a worker can be used", hint=trust_hint(store.layout))
    if options.local_fallback and store.config.require > 1:
        raise UsageError(
            f"{store.config.require} builders must agree, and --local-fallback would be one alone",
            hint="leave it out; `vstore realise` without --on builds for this machine only",
        )
    return signer


def _makers(prepared: PreparedRequest) -> dict[StorePath, InputMaker]:
    maker = InputMaker(interpreters=prepared.interpreters, import_sources=prepared.sources.import_all)
    return dict.fromkeys(prepared.plan.nodes, maker)


def _lock_names(prepared: PreparedRequest) -> dict[StorePath, str]:
    names = prepared.lock_names
    return {key: names[layer] for layer, key in prepared.plan.layers.items() if layer in names}


def report_event(reporter: Reporter, event: NodeEvent) -> None:
    """Show an event as progress: each node that runs, and how many are done."""
    on = f" on {event.worker}" if event.worker else ""
    if event.state == NodeState.RUNNING:
        reporter.progress(event.title, f"{event.activity}{on}")
    elif event.state in (NodeState.DONE, NodeState.FAILED):
        reporter.completed(event.title, f"{event.activity}{on}", event.seconds)
    if event.state != NodeState.RUNNING:
        reporter.progress("cluster", "realising", event.done, event.total, Unit.NODES)
