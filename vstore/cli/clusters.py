"""The options of a command that works on a cluster, and what it shows of that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import click

from vstore.cli.command import options
from vstore.cli.settings import Settings
from vstore.cli.text import table, when
from vstore.errors import UsageError
from vstore.plural import count
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.caches import Channel
    from vstore.api.cluster import ClusterOptions, ClusterRealised, ClusterSummary, NodeEvent
    from vstore.api.stores import Store
    from vstore.cli.documents.caches import ChannelDocument
    from vstore.cli.documents.clusters import ClusterSummaryDocument, NodeEventDocument

MakeOptions = Callable[..., "ClusterOptions"]
_DEFAULT_SECONDS = 60.0

cluster_options = options(
    "make_cluster",
    lambda **given: partial(_make, **given),
    click.option(
        "--fetch",
        type=click.Choice(["all", "stack", "none"]),
        default="stack",
        help="With --on SCHEDULER: the stacks to fetch from the cache (default: those of this machine's platform).",
    ),
    click.option(
        "--channel",
        metavar="NAME",
        help="With --on SCHEDULER: point this channel of the cache to the stack, once all of it is there; {profile} and"
        " {platform} stand for those of the stack.",
    ),
    click.option("--local-fallback", is_flag=True, help="With --on SCHEDULER: build here what no worker could."),
    click.option(
        "--timeout",
        type=click.FloatRange(1),
        default=_DEFAULT_SECONDS,
        metavar="SECONDS",
        help="With --on SCHEDULER: how long to wait while nothing happens (default: 60).",
    ),
)


def _make(store: Store, caches: tuple[str, ...], **given: object) -> ClusterOptions:
    """Return the options for a store. The cache is the first of `caches`, else the only one that is configured."""
    from vstore.api.cluster import ClusterOptions, Fetch

    names = [*caches, *(one.name for one in store.config.caches)]
    if not caches and len(names) != 1:
        raise UsageError(
            "--on SCHEDULER needs the cache that this machine and the workers share",
            hint="give --cache CACHE" + (f"; configured: {', '.join(names)}" if names else ""),
        )
    return ClusterOptions(
        cache=names[0],
        fetch=Fetch(str(given["fetch"])),
        channel=str(given["channel"]) if given["channel"] else None,
        local_fallback=bool(given["local_fallback"]),
        limit_seconds=float(str(given["timeout"])),
    )


def print_event(settings: Settings, event: NodeEvent) -> None:
    """Print the new state of a node as one line of JSON on standard error."""
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


def summary_document(summary: ClusterSummary) -> ClusterSummaryDocument:
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


def channel_documents(channels: Iterable[Channel]) -> list[ChannelDocument]:
    """Return the documents of channels that were moved."""
    return [
        {
            "name": one.name,
            "number": one.number,
            "expires_at": when(one.expires_at),
            "signed_by": [signature.key for signature in one.signatures],
        }
        for one in channels
    ]


def summary_text(done: ClusterRealised) -> str:
    """Return the summary as text: the workers, what sharing spared, the critical path, and the channels."""
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
    lines += [f"channel {one.name} points to {one.path} (number {one.number})" for one in done.channels]
    return "\n".join(lines)
