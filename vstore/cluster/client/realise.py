"""Realise prepared requests on a cluster: one plan for all, tasks for workers, results from the cache.

The cache gets every object. This machine gets only what is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from enum import StrEnum

from vstore.build.recipe import Recipe
from vstore.cluster.client.channels import move_channel
from vstore.cluster.client.executor import Connect, DaskExecutor
from vstore.cluster.client.run import ClusterRun
from vstore.cluster.client.summary import ClusterSummary, summarise
from vstore.cluster.security import TlsFiles
from vstore.errors import UsageError
from vstore.graph import reachable
from vstore.objects import StorePath
from vstore.plural import count
from vstore.realise.execute.executor import Executed
from vstore.realise.local import in_threads
from vstore.realise.model import Realised, RealisedLayer
from vstore.realise.prepare import PreparedRequest, finish
from vstore.realise.realise import combined_error
from vstore.remote import Fetcher, PublishedChannel, Pusher
from vstore.remote.records.channels import check_channel_name
from vstore.remote.sync.pull import PullPool
from vstore.store import Provenance
from vstore.target import Target
from vstore.values import frozen, replace


class Fetch(StrEnum):
    """The stacks that come to this machine: all, those of its own platform, or none."""

    ALL = "all"
    STACK = "stack"
    NONE = "none"


@frozen
class ClusterOptions:
    """The cache that this machine and the workers share, and what to do with the results.

    `channel` may contain ``{profile}`` and ``{platform}``; it expires after `lifetime`. With `local_fallback` this
    machine builds what no worker could. Nothing waits for longer than `limit_seconds` while no worker does anything.
    `insecure` allows a scheduler on another machine without TLS.
    """

    cache: str
    fetch: Fetch = Fetch.STACK
    channel: str | None = None
    lifetime: timedelta = timedelta(days=30)
    local_fallback: bool = False
    limit_seconds: float = 60.0
    tls: TlsFiles | None = None
    insecure: bool = False


@frozen
class ClusterRealised:
    """The stacks in the order of their requests, their channels, and the summary of the run."""

    stacks: tuple[Realised, ...]
    channels: tuple[PublishedChannel, ...]
    summary: ClusterSummary


def channel_names(channel: str | None, stacks: Sequence[tuple[str, Target]]) -> list[str | None]:
    """Return the channel of each stack, given by profile and platform. Raises UsageError if two have the same."""
    if channel is None:
        return [None] * len(stacks)
    names = [channel.replace("{profile}", profile).replace("{platform}", str(target)) for profile, target in stacks]
    for name in names:
        check_channel_name(name)
    if len(set(names)) < len(names):
        raise UsageError(
            f"channel {channel} would point to {len(names)} stacks",
            hint="write {profile} or {platform} in its name, as in --channel '{profile}-{platform}'",
        )
    return list(names)


def realise_prepared(
    connect: Connect, run: ClusterRun, requests: Sequence[PreparedRequest], options: ClusterOptions
) -> ClusterRealised:
    """Realise requests on a cluster.

    Raises one error for all nodes that failed; what was built is in the cache. If the run keeps going, stacks that are
    complete are fetched and their channels moved before. Raises UsageError for two stacks of one
    profile or channel, ClusterError if nothing goes on, CacheError for a cache that fails.
    """
    started = time.monotonic()
    _check_profiles(requests)
    own = [(one.request.profile or one.project.spec.profile, one.request.platform) for one in requests]
    channels = channel_names(options.channel, own)
    nodes = {key: node for one in requests for key, node in one.plan.nodes.items()}
    executor = DaskExecutor(connect, run)
    executed = executor.run(nodes)
    if options.local_fallback and executed.failures and executed.failures.keys() <= executor.unbuilt:
        executed = build_here(run, requests, nodes, executed)
    if executed.failures and not run.keep_going:
        raise combined_error(nodes, executed.done, executed.failures)
    complete = [(one, name) for one, name in zip(requests, channels, strict=True) if one.plan.stack in executed.done]
    wanted = [one.plan.stack for one, _ in complete if one.plan.stack and _is_wanted(options.fetch, one)]
    fetched_bytes = fetch(run, nodes, executed.done, wanted)
    stacks = [
        finish(_asking_for(options.fetch, one), executed.done, fetched_bytes=fetched_bytes) for one, _ in complete
    ]
    objects = {key: one.path for key, one in executed.done.items() if one.path}
    moved = [
        move_channel(run, connect, name, objects[top], nodes[top].over(objects).digest, options.lifetime)
        for one, name in complete
        if name and (top := one.plan.stack)
    ]
    if executed.failures:
        raise combined_error(nodes, executed.done, executed.failures)
    return ClusterRealised(
        stacks=tuple(stacks),
        channels=tuple(moved),
        summary=summarise(
            nodes,
            [one.plan.stack for one in requests if one.plan.stack],
            executor.answers,
            cached=len(executor.found.cached),
            seconds=time.monotonic() - started,
            pushed_bytes=executor.inputs.pushed_bytes,
        ),
    )


def _check_profiles(requests: Sequence[PreparedRequest]) -> None:
    """Raise UsageError if two requests are for one profile."""
    found: dict[str, PreparedRequest] = {}
    for one in requests:
        if one.profile in found:
            raise UsageError(
                f"two specs have profile {one.profile}",
                details=[str(found[one.profile].project.spec.path), str(one.project.spec.path)],
                hint="give one of them another `profile`",
            )
        found[one.profile] = one


def _asking_for(wanted: Fetch, prepared: PreparedRequest) -> PreparedRequest:
    """Return the request, for no generation if its stack is not to come to this machine."""
    makes = prepared.request.generation and _is_wanted(wanted, prepared)
    return replace(prepared, request=replace(prepared.request, generation=makes))


def _is_wanted(wanted: Fetch, prepared: PreparedRequest) -> bool:
    return wanted == Fetch.ALL or (wanted == Fetch.STACK and prepared.request.platform == Target.host())


def fetch(
    run: ClusterRun,
    nodes: Mapping[StorePath, Recipe],
    done: Mapping[StorePath, RealisedLayer],
    tops: Iterable[StorePath],
) -> int:
    """Fetch the objects of nodes and all that they refer to, and note their recipes. Return the bytes fetched."""
    objects = {key: one.path for key, one in done.items() if one.path}
    recipes = {
        path: nodes[key].over(objects).digest
        for key, path in objects.items()
        if all(one in objects for one in nodes[key].all_dependencies)
    }
    fetcher = Fetcher(run.store, trust=run.trust, reporter=run.reporter, cancel=run.cancel)
    with closing(PullPool(fetcher)) as pool, run.cancel.set_after(errors=False):
        pool.wait(*pool.start(run.cache, [objects[top] for top in tops], recipes))
        fetched_bytes = pool.pulled().fetched_bytes
    for path, recipe in recipes.items():
        if run.store.is_valid(path) and run.store.realisations.object_of(recipe) != path:
            run.store.add_provenance(path, Provenance(recipe=recipe))
    return fetched_bytes


def build_here(
    run: ClusterRun, requests: Sequence[PreparedRequest], nodes: Mapping[StorePath, Recipe], executed: Executed
) -> Executed:
    """Build the nodes that are not done on this machine, over the others, which are fetched, and push them.

    Return all results.
    """
    left = [key for key in nodes if key not in executed.done]
    run.reporter.note(f"building {count(len(left), 'object')} on this machine, as no worker could")
    below = {one for key in left for one in nodes[key].all_dependencies if one in executed.done}
    fetch(run, nodes, executed.done, below)
    needed = reachable(left, lambda key: nodes[key].all_dependencies)
    with in_threads(requests) as executor:
        own = executor.run({key: node for key, node in nodes.items() if key in needed})
    built = [layer.path for key, layer in own.done.items() if key not in executed.done and layer.path]
    Pusher(run.store, run.cache, run.signer, reporter=run.reporter).push(built)
    return Executed(done={**own.done, **executed.done}, failures=own.failures)
