"""The content of the page that `vstore report` writes, as values. Everything is read once, nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from vstore.credentials import public_url
from vstore.fs.trees.usage import InodeCache
from vstore.gc import CollectionPlan, exclusive_sizes_in
from vstore.graph import reachable
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.profile import history, names
from vstore.report.usage import Usage, disk_usage
from vstore.reporter import NullReporter, Reporter
from vstore.store import Generation, Root, RootKind, Store, list_roots
from vstore.values import frozen

MAX_MEASURED = 300  # objects whose files are examined, the largest ones: the others are told by their size alone
MAX_WITH_PACKAGES = 60
MAX_GENERATIONS = 40  # of one profile, the newest
_LAYERS = (Kind.RUNTIME, Kind.FRAMEWORK, Kind.APPLICATION)
_Reached = Mapping[Root, set[StorePath]]


class ReportedObject(NamedTuple):
    """An object, its disk space if it was measured, its packages if they were, and the roots that reach it."""

    info: ObjectInfo
    usage: Usage | None
    packages: tuple[Usage, ...]
    kept_by: tuple[str, ...]


class ReportedGeneration(NamedTuple):
    """A generation, and the objects that the one before it in the list does not have. `added_bytes` is their size."""

    generation: Generation
    added: tuple[StorePath, ...]
    added_bytes: int


class ReportedRoot(NamedTuple):
    """A root, the size of all that it reaches, and the bytes on the disk that it alone keeps."""

    root: Root
    closure_bytes: int
    exclusive_bytes: int


class Origins(NamedTuple):
    """The numbers of layers that were built here, and that came from elsewhere: a cache or a bundle."""

    built: int
    fetched: int


@frozen
class Finding:
    """Something to look at: where it comes from, such as ``doctor``, ``error`` or ``warning``, and a sentence."""

    source: str
    level: str
    text: str


@frozen
class Content:
    """The content of the page. Objects are sorted by size, the largest first."""

    root: str
    made_at: datetime
    version: str
    store_bytes: int
    objects: tuple[ReportedObject, ...]
    profiles: Mapping[str, tuple[ReportedGeneration, ...]]
    roots: tuple[ReportedRoot, ...]
    plan: CollectionPlan
    forgotten: tuple[tuple[str, int], ...]
    caches: Mapping[str, str]  # URLs without secrets, by name
    origins: Origins
    findings: tuple[Finding, ...]


@frozen
class Answers:
    """The answers of other rooms that the page shows: the plan of a collection, and what was found."""

    plan: CollectionPlan
    forgotten: tuple[tuple[str, int], ...]
    findings: tuple[Finding, ...]


def read_content(
    store: Store,
    answers: Answers,
    inodes: InodeCache,
    *,
    version: str,
    now: datetime,
    reporter: Reporter | None = None,
) -> Content:
    """Read the content of a page about this store. Take the sizes from `inodes`, the cache of the answers' plan."""
    reporter = reporter or NullReporter()
    reporter.progress("report", "reading the index")
    infos = {info.path: info for info in store.objects.all()}
    graph = store.objects.graph()
    edges = dict(zip(graph.paths, ([graph.paths[i] for i in found] for found in graph.edges), strict=True))
    roots = list_roots(store.layout)
    reached = {root: reachable([root.path], lambda path: edges.get(path, ())) & infos.keys() for root in roots}
    closures = {root.path: paths for root, paths in reached.items() if root.kind == RootKind.PROFILE}
    largest = sorted(infos.values(), key=lambda info: (-info.size_bytes, info.path))
    return Content(
        root=str(store.layout.root),
        made_at=now,
        version=version,
        store_bytes=inodes.used_bytes(store.layout.root),
        objects=_objects(store, largest, _keepers(reached), reporter),
        profiles={name: _generations(history(store, name), closures, infos) for name in names(store)},
        roots=_roots(exclusive_sizes_in(graph, store, roots, inodes=inodes), reached, infos),
        plan=answers.plan,
        forgotten=answers.forgotten,
        caches={cache.name: public_url(cache.url) for cache in store.config.caches},
        origins=_origins(infos, dict(zip(graph.paths, graph.build_seconds, strict=True))),
        findings=answers.findings,
    )


def _keepers(reached: _Reached) -> dict[StorePath, list[str]]:
    found: dict[StorePath, list[str]] = {}
    for root, paths in reached.items():
        for path in paths:
            found.setdefault(path, []).append(root.name)
    return found


def _objects(
    store: Store, largest: Sequence[ObjectInfo], keepers: Mapping[StorePath, list[str]], reporter: Reporter
) -> tuple[ReportedObject, ...]:
    measured = [info.path for info in largest[:MAX_MEASURED]]
    found = [
        *disk_usage(store, measured[:MAX_WITH_PACKAGES], reporter=reporter).objects,
        *disk_usage(store, measured[MAX_WITH_PACKAGES:], by_package=False, reporter=reporter).objects,
    ]
    usages = {one.whole.path: one for one in found}
    reported = []
    for info in largest:
        usage = usages.get(info.path)
        packages = sorted(usage.packages, key=lambda one: -one.size_bytes) if usage else ()
        kept_by = tuple(keepers.get(info.path, ()))
        reported.append(ReportedObject(info, usage.whole if usage else None, tuple(packages), kept_by))
    return tuple(reported)


def _generations(
    found: Sequence[Generation],
    closures: Mapping[StorePath, set[StorePath]],
    infos: Mapping[StorePath, ObjectInfo],
) -> tuple[ReportedGeneration, ...]:
    """Return the newest generations, oldest first; the first one that is shown adds all that it has."""
    before: set[StorePath] = set()
    reported = []
    for generation in found[-MAX_GENERATIONS:]:
        closure = closures.get(generation.path, set())
        added = sorted(closure - before, key=lambda path: (-infos[path].size_bytes, path))
        size = sum(infos[path].size_bytes for path in added)
        reported.append(ReportedGeneration(generation, tuple(added), size))
        before = closure
    return tuple(reported)


def _roots(
    exclusive: Mapping[str, int], reached: _Reached, infos: Mapping[StorePath, ObjectInfo]
) -> tuple[ReportedRoot, ...]:
    found = [
        ReportedRoot(root, sum(infos[path].size_bytes for path in paths), exclusive[root.name])
        for root, paths in reached.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.exclusive_bytes, one.root.name)))


def _origins(infos: Mapping[StorePath, ObjectInfo], seconds: Mapping[StorePath, float | None]) -> Origins:
    layers = [path for path, info in infos.items() if info.kind in _LAYERS and info.recipe is not None]
    built = sum(seconds.get(path) is not None for path in layers)
    return Origins(built, len(layers) - built)
