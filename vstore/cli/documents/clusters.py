"""Documents about work on a cluster."""

from __future__ import annotations

from typing import Annotated, TypedDict

from vstore.cli.documents.caches import ChannelDocument
from vstore.cli.documents.specs import RealiseDocument


class WorkerSummaryDocument(TypedDict):
    """The work of one worker."""

    worker: Annotated[str, "Name of the worker"]
    host: Annotated[str, "Its machine"]
    built: Annotated[list[str], "Names of the objects that it built"]
    substituted: Annotated[int, "Number of objects that it fetched from a cache instead"]
    duration_seconds: Annotated[float, "Time that its nodes took"]
    pushed_bytes: Annotated[int, "Bytes that it sent to the cache"]
    fetched_bytes: Annotated[int, "Bytes that it fetched from caches"]
    requests: Annotated[int, "Its requests to caches"]


class PathStepDocument(TypedDict):
    """A node of the critical path."""

    name: Annotated[str, "Name of the object"]
    target: Annotated[str, "Its platform"]
    duration_seconds: Annotated[float, "Time that it took"]


class ClusterSummaryDocument(TypedDict):
    """What was done where, and what limited the whole."""

    nodes: Annotated[int, "Number of nodes of the plan"]
    cached: Annotated[int, "Number of nodes whose objects the cache had before"]
    workers: Annotated[list[WorkerSummaryDocument], "Workers that realised nodes, by name"]
    shared_seconds: Annotated[float, "Time that building each stack alone would have added"]
    shared_bytes: Annotated[int, "Bytes of objects that it would have built again"]
    critical_path: Annotated[list[PathStepDocument], "Longest chain of nodes, the lowest first"]
    pushed_bytes: Annotated[int, "Bytes that this machine sent to the cache"]
    duration_seconds: Annotated[float, "Time of the whole, without locking"]


class ClusterRealiseDocument(TypedDict):
    """Stacks that were realised on a cluster."""

    stacks: Annotated[list[RealiseDocument], "One for each spec and platform; `generation` is null if not fetched"]
    channels: Annotated[list[ChannelDocument], "Channels that point to the stacks"]
    summary: Annotated[ClusterSummaryDocument, "What was done where"]


class NodeEventDocument(TypedDict):
    """A line on standard error while a cluster works, with `--json`: the new state of a node."""

    name: Annotated[str, "Name of the object"]
    target: Annotated[str, "Its platform"]
    state: Annotated[str, "`waiting`, `running`, `done` or `failed`"]
    activity: Annotated[str, "What the worker does, such as `building`; of a done node how its object became present"]
    worker: Annotated[str | None, "Name of the worker; of a waiting node the one that gave it back, null if none did"]
    duration_seconds: Annotated[float, "Time that a done node took"]
    done: Annotated[int, "Number of nodes that are done"]
    total: Annotated[int, "Number of nodes to realise"]
