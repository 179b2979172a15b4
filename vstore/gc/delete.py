"""Deleting named objects, or refusing with the reason: the root that keeps one alive, and the chain from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from vstore.errors import BusyError, StoreError
from vstore.gc.measure import Measure, logs_of
from vstore.gc.model import Collected, CollectionPlan
from vstore.gc.orphans import require_rows
from vstore.gc.ownership import owner_names, removable
from vstore.gc.plan import plan_victims
from vstore.gc.remove import Removal, current_roots
from vstore.gc.unlink import empty_trash
from vstore.graph import inverted, reachable, shortest_path
from vstore.objects import StorePath
from vstore.reporter import NullReporter, Reporter
from vstore.store import ObjectGraph, Root, RootKind, Store, generation_link, generation_of, list_roots
from vstore.values import replace


def plan_deletion(
    store: Store, paths: Collection[StorePath], *, recursive: bool = False, referrers: bool = False
) -> CollectionPlan:
    """Plan the deletions of `delete`. Raises StoreError if it would refuse."""
    plan = _planned(store, paths, recursive, referrers)[0]
    measure = Measure(store.layout)
    for victim in plan.victims:
        measure.take(str(victim.path))
    measure.take_places(logs_of(store, plan.dead))
    measure.take_places(store.layout.trash.iterdir())
    return replace(plan, freed_bytes=measure.tally.freed_bytes)


def delete(
    store: Store,
    paths: Collection[StorePath],
    *,
    recursive: bool = False,
    referrers: bool = False,
    reporter: Reporter | None = None,
) -> Collected:
    """Delete dead objects.

    With `recursive` also delete the objects that only they refer to, with `referrers` also dead objects that refer to
    them. Raises StoreError, and deletes nothing, if one of them is alive or if a dead object that stays refers to it.
    """
    reporter = reporter or NullReporter()
    plan, graph, roots = _planned(store, paths, recursive, referrers)
    store.database.check()  # nothing is deleted because of a damaged index
    removal = Removal(store, graph, roots)
    gone = removal.remove(plan.victims)
    freed = empty_trash(store.layout, reporter) + removal.finish(reporter)
    kept = set(paths) - {victim.path for victim in gone}
    if kept:
        raise BusyError("not deleted, now in use:", details=map(str, sorted(kept)))
    return Collected(victims=tuple(gone), freed_bytes=freed)


def _planned(
    store: Store, paths: Collection[StorePath], recursive: bool, referrers: bool
) -> tuple[CollectionPlan, ObjectGraph, set[StorePath]]:
    roots = current_roots(store)
    graph = store.objects.graph()
    require_rows(store, roots, ())
    everything = plan_victims(graph, roots)
    dead = set(everything.dead)
    for path in sorted(paths):
        if path not in dead:
            raise explain_live(store, graph, path)
    below = _edges(graph)
    above = inverted(below)
    wanted = reachable(paths, lambda path: above.get(path, ())) if referrers else set(paths)
    if not referrers:
        _refuse_referrers(wanted, above)
    _refuse_foreign(store, wanted)
    chosen = set(wanted)
    candidates = reachable(wanted, below.__getitem__) if recursive else wanted
    victims = []
    for victim in everything.victims:  # referrers first: all objects above this one are decided
        unneeded = victim.path in candidates and above.get(victim.path, set()) <= chosen
        if victim.path in wanted or (unneeded and removable(store.layout.object(victim.path))):
            chosen.add(victim.path)
            victims.append(victim)
    return replace(everything, victims=tuple(victims), spared=len(dead) - len(victims)), graph, roots


def _refuse_referrers(wanted: Collection[StorePath], above: Mapping[StorePath, set[StorePath]]) -> None:
    for path in sorted(wanted):
        others = sorted(above.get(path, set()) - set(wanted))
        if others:
            raise StoreError(
                f"not deleted, dead objects refer to it: {path}",
                details=map(str, others),
                hint="--referrers deletes them too, and so does `vstore gc`",
            )


def _refuse_foreign(store: Store, wanted: Collection[StorePath]) -> None:
    others = sorted(path for path in wanted if not removable(store.layout.object(path)))
    if others:
        raise StoreError(
            f"not deleted, it belongs to {', '.join(owner_names(store.layout, others))}: {others[0]}",
            details=map(str, others[1:]),
            hint="in a shared store only its owner or root can remove an object",
        )


def _edges(graph: ObjectGraph) -> dict[StorePath, list[StorePath]]:
    return {path: [graph.paths[low] for low in edges] for path, edges in zip(graph.paths, graph.edges, strict=True)}


def explain_live(store: Store, graph: ObjectGraph, path: StorePath) -> StoreError:
    """Return the error for an object that cannot be deleted: the nearest root, its chain, and its removal."""
    if path not in graph.paths:
        return StoreError(f"not in the store: {path}", hint="`vstore list` lists the objects")
    found = roots_keeping(store, graph, path)
    if not found:
        return BusyError(f"in use until a moment ago: {path}", hint="try again")
    root, links = found[0]
    details = [f"{root.kind} {root.name}" if root.kind != RootKind.PROCESS else root.name]
    details += [f"{'  ' * depth}-> {link}" for depth, link in enumerate(links, 1)]
    if len(found) > 1:
        details.append(f"and {len(found) - 1} other roots: {', '.join(one.name for one, _ in found[1:6])}")
    return StoreError(f"not deleted, because a root keeps it alive: {path}", details=details, hint=_hint(store, root))


def roots_keeping(store: Store, graph: ObjectGraph, path: StorePath) -> list[tuple[Root, tuple[StorePath, ...]]]:
    """Return the roots that keep an object alive, each with the chain of references from it, the shortest first."""
    below = _edges(graph)
    above = inverted(below)
    needing = reachable([path], lambda one: above.get(one, ()))
    roots = list_roots(store.layout)
    known = {(root.name, root.path) for root in roots}
    for one in store.generations.all():  # a generation whose link was removed by hand keeps its stack too
        name = f"profiles/{generation_link(one.profile, one.number)}"
        if (name, one.path) not in known:
            roots.append(Root(RootKind.PROFILE, name, one.path, since=one.created_at))
    found = [
        (root, shortest_path(root.path, path, lambda one: below.get(one, ()))) for root in roots if root.path in needing
    ]
    order: Sequence[RootKind] = (RootKind.PROFILE, RootKind.USER, RootKind.PROCESS, RootKind.TEMP)
    return sorted(found, key=lambda one: (len(one[1]), order.index(one[0].kind), one[0].name))


def _hint(store: Store, root: Root) -> str:
    match root.kind:
        case RootKind.PROFILE:
            name = root.name.removeprefix("profiles/")
            profile, number = generation_of(name) or (name, 0)
            if number and store.generations.current_number(profile) == number:
                return f"it belongs to the current generation: switch {profile} to another one first"
            return f"run `vstore forget {profile} {number}`"
        case RootKind.USER:
            return f"run `vstore roots remove {root.name.removeprefix('gcroots/')}`"
        case RootKind.PROCESS:
            return f"{root.name} is running a program from it: end that first"
        case RootKind.TEMP:
            pid = root.name.rpartition("/")[2].partition("-")[0]
            return f"process {pid} of vstore is using it: wait until it has ended"
