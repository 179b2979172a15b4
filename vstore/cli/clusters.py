"""The options of a command that works on a cluster, and what it shows of that."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from vstore.cli.command import options
from vstore.cli.commands.workers import TLS_OPTIONS, find_tls_by, insecure_option
from vstore.cli.settings import Settings
from vstore.cli.speed import span
from vstore.cli.text import table
from vstore.errors import UsageError
from vstore.plural import count
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.cluster import ClusterOptions, ClusterRealised, ClusterSummary, NodeEvent
    from vstore.api.places import SchedulerAddress
    from vstore.api.realising import Request
    from vstore.api.stores import Store
    from vstore.cli.documents.clusters import ClusterRealiseDocument, ClusterSummaryDocument, NodeEventDocument
    from vstore.cli.documents.specs import RealiseDocument
    from vstore.reporter import Reporter

_DEFAULT_SECONDS = 60.0
_REPEAT_SECONDS = 30.0  # between two lines about the nodes that run
_NAMED = 3  # nodes in such a line


class Place:
    """The place where nodes are realised, as the options say: here, in `processes` of this machine, or on a scheduler.

    `scheduler` is its address, None for this machine.
    """

    def __init__(self, place: str | None, **given: object) -> None:
        self.processes: int | None = None
        self.scheduler: SchedulerAddress | None = None
        if place is not None:
            self._choose(place)
        files = {name: Path(str(given[name])) if given[name] else None for name in ("tls_ca", "tls_cert", "tls_key")}
        self._find_tls = find_tls_by(**files)
        self._given = given
        only = [name for name in ("channel", "fetch", "local_fallback") if given[name]]
        if self.scheduler is None and only:
            raise UsageError(
                f"--{only[0].replace('_', '-')} is for a cluster", hint="also give --on SCHEDULER and --cache CACHE"
            )

    def _choose(self, place: str) -> None:
        from vstore.api.places import LocalProcesses, parse_place

        match parse_place(place):
            case LocalProcesses(count=number):
                self.processes = number or os.cpu_count() or 1
            case address:
                self.scheduler = address

    def options(self, store: Store, caches: tuple[str, ...]) -> ClusterOptions:
        """Return the options of a run. The cache is the first of `caches`, else the only one that is configured."""
        from vstore.api.cluster import ClusterOptions, Fetch

        names = [*caches, *(one.name for one in store.config.caches)]
        if not caches and len(names) != 1:
            raise UsageError(
                "--on SCHEDULER needs the cache that this machine and the workers share",
                hint="give --cache CACHE" + (f"; configured: {', '.join(names)}" if names else ""),
            )
        given = self._given
        return ClusterOptions(
            cache=names[0],
            fetch=Fetch(str(given["fetch"] or "stack")),
            channel=str(given["channel"]) if given["channel"] else None,
            local_fallback=bool(given["local_fallback"]),
            limit_seconds=float(str(given["timeout"])),
            tls=self._find_tls(store.layout.root),
            insecure=bool(given["insecure"]),
        )


place_options = options(
    "place",
    lambda **given: Place(**given),
    click.option(
        "--on",
        "place",
        metavar="PLACE",
        help="Build in processes of this machine, `local[N]` or `local` for one per CPU; or on the workers of a"
        " scheduler, by its address or file, which also write to the cache.",
    ),
    click.option(
        "--fetch",
        type=click.Choice(["all", "stack", "none"]),
        help="Of what a cluster realised, fetch all stacks, those of this machine's platform (`stack`, the default), or"
        " none.",
    ),
    click.option(
        "--channel",
        metavar="NAME",
        help="Point this channel of the cache to the stack that a cluster realised, once all of it is there; {profile}"
        " and {platform} stand for those of the stack.",
    ),
    click.option("--local-fallback", is_flag=True, help="Build here what no worker of the cluster could."),
    click.option(
        "--timeout",
        type=click.FloatRange(1),
        default=_DEFAULT_SECONDS,
        metavar="SECONDS",
        help="How long to wait for a cluster in which nothing happens (default: 60).",
    ),
    *TLS_OPTIONS,
    insecure_option,
)


def realise_on_cluster(
    settings: Settings,
    store: Store,
    requests: Iterable[Request],
    scheduler: SchedulerAddress,
    options: ClusterOptions,
) -> ClusterRealised:
    """Realise requests on a scheduler. With `--json` each change of a node is a line on standard error."""
    from vstore.api.cluster import realise_on

    realise = partial(realise_on, store, requests, scheduler, options, reporter=settings.reporter)
    if settings.reporter.is_live:
        return realise()
    log = NodeLog(settings.reporter, each=not settings.json)

    def hear(event: NodeEvent) -> None:
        log.add(event, time.monotonic())
        if settings.json:
            print_event(settings, event)

    with log.repeating():
        return realise(on_event=hear)


class _Running(NamedTuple):
    """A node that runs on a worker, since a time of `time.monotonic`."""

    node: str
    worker: str | None
    activity: str
    since: float


class NodeLog:
    """Reports in plain lines where each node starts and how it ends, and every half minute which nodes run."""

    def __init__(self, reporter: Reporter, *, each: bool = True) -> None:
        self._reporter = reporter
        self._each = each
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str | None], _Running] = {}
        self._last: NodeEvent | None = None

    def add(self, event: NodeEvent, now: float) -> None:
        """Report the start or the end of a node. `now` is a time of `time.monotonic`, here and below."""
        node = event.title
        with self._lock:
            self._last = event
            own = [key for key in self._running if key[0] == node]
            if event.state == "running":
                known = self._running.get((node, event.worker))
                since = known.since if known else now
                self._running[node, event.worker] = _Running(node, event.worker, event.activity, since)
                if self._each and known is None:
                    self._reporter.note(f"{node}: started on {event.worker}")
                return
            is_waiting = event.state == "waiting"
            ended = [self._running.pop(key) for key in own if not is_waiting or event.worker in (key[1], None)]
        if self._each and not is_waiting:
            on = f" on {event.worker}" if event.worker else ""
            since = min((one.since for one in ended), default=now)
            self._reporter.completed(node, f"{event.activity}{on}", event.seconds or now - since)

    def repeat(self, now: float) -> None:
        """Report how many nodes are done and which run, the longest first."""
        with self._lock:
            last, running = self._last, sorted(self._running.values(), key=lambda one: one.since)
        if last is None or (last.done == last.total and not running):
            return
        named = [f"{one.node} on {one.worker} for {span(now - one.since)} ({one.activity})" for one in running[:_NAMED]]
        more = [f"{len(running) - _NAMED} more"] if len(running) > _NAMED else []
        shown = ", ".join(named + more) or "no worker has a node"
        self._reporter.note(f"cluster: {last.done} of {last.total} done; {shown}")

    @contextmanager
    def repeating(self) -> Iterator[None]:
        """Call `repeat` every half minute during the block."""
        ended = threading.Event()

        def repeat() -> None:
            while not ended.wait(_REPEAT_SECONDS):
                self.repeat(time.monotonic())

        threading.Thread(target=repeat, name="nodes", daemon=True).start()
        try:
            yield
        finally:
            ended.set()


def print_event(settings: Settings, event: NodeEvent) -> None:
    """Print the new state of a node as one line of JSON on standard error."""
    import json

    document: NodeEventDocument = {
        "name": event.name,
        "target": event.target,
        "state": str(event.state),
        "activity": event.activity,
        "worker": event.worker,
        "duration_seconds": round(event.seconds, 3),
        "done": event.done,
        "total": event.total,
    }
    settings.echo(json.dumps(document, ensure_ascii=False), err=True)


def cluster_document(done: ClusterRealised, stacks: list[RealiseDocument]) -> ClusterRealiseDocument:
    """Return the document of a run, given those of its stacks."""
    from vstore.cli.documents.caches import channel_document

    return {
        "stacks": stacks,
        "channels": [channel_document(one) for one in done.channels],
        "summary": _summary_document(done.summary),
    }


def _summary_document(summary: ClusterSummary) -> ClusterSummaryDocument:
    """Return the document of a summary."""
    return {
        "nodes": summary.nodes,
        "cached": summary.cached,
        "workers": [
            {
                "worker": one.worker,
                "host": one.host,
                "built": list(one.built),
                "substituted": one.substituted,
                "duration_seconds": round(one.seconds, 3),
                "pushed_bytes": one.pushed_bytes,
                "fetched_bytes": one.fetched_bytes,
                "requests": one.requests,
            }
            for one in summary.workers
        ],
        "shared_seconds": round(summary.shared_seconds, 3),
        "shared_bytes": summary.shared_bytes,
        "critical_path": [
            {"name": one.name, "target": one.target, "duration_seconds": round(one.seconds, 3)}
            for one in summary.critical_path
        ],
        "pushed_bytes": summary.pushed_bytes,
        "duration_seconds": round(summary.seconds, 3),
    }


def summary_text(done: ClusterRealised) -> str:
    """Return the summary as text: the workers, what sharing spared, the critical path, and the channels."""
    from vstore.cli.documents.caches import channel_text

    summary = done.summary
    lines = []
    if summary.workers:
        rows = [
            {
                "worker": one.worker,
                "host": one.host,
                "built": len(one.built),
                "substituted": one.substituted,
                "seconds": f"{one.seconds:.1f}",
                "pushed": size(one.pushed_bytes),
                "fetched": size(one.fetched_bytes),
                "requests": one.requests,
            }
            for one in summary.workers
        ]
        lines.append(table(rows, {name: name for name in rows[0]}))
    lines.append(
        f"{count(summary.nodes, 'node')}, {summary.cached} of them in the cache before ({summary.seconds:.1f} s)"
    )
    if summary.shared_bytes or summary.shared_seconds:
        lines.append(
            f"shared by several stacks: {summary.shared_seconds:.1f} s and {size(summary.shared_bytes)} spared"
        )
    if summary.critical_path:
        path = " -> ".join(f"{one.name} {one.seconds:.1f} s" for one in summary.critical_path)
        lines.append(f"critical path, {summary.critical_seconds:.1f} s: {path}")
    lines += map(channel_text, done.channels)
    return "\n".join(lines)
