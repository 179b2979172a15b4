"""Deleting what a person names, and refusing with the reason: which root keeps it, and by which chain."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from vstore.errors import BusyError, StoreError
from vstore.gc.measure import Measure, logs_of
from vstore.gc.model import Collected, CollectionPlan
from vstore.gc.orphans import require_rows
from vstore.gc.ownership import owner_names, removable
from vstore.gc.plan import plan_victims
from vstore.gc.remove import Removal, current_roots
from vstore.gc.unlink import empty_trash
from vstore.objects import StorePath, chain
from vstore.reporter import Reporter
from vstore.store import Graph, Root, RootKind, Store, generation_link, generation_of, list_roots


def plan_deletion(
    store: Store, paths: Collection[StorePath], *, recursive: bool = False, referrers: bool = False
) -> CollectionPlan:
    """Plan what `delete` would delete now. Raises StoreError where it would refuse."""
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
    reporter: Reporter,
) -> Collected:
    """Delete these objects; `recursive` also what only they refer to, `referrers` also dead ones that refer to them.

    Raises StoreError, and deletes nothing, if one of them is alive or if a dead one that is not to go refers to it.
    """
    plan, graph, roots = _planned(store, paths, recursive, referrers)
    store.index.database.check()  # nothing is deleted on the word of a damaged index
    removal = Removal(store, graph, roots)
    gone = removal.remove(plan.victims)
    freed = empty_trash(store.layout, reporter) + removal.finish(reporter)
    spared = set(paths) - {victim.path for victim in gone}
    if spared:
        raise BusyError("just come into use, and left:", details=map(str, sorted(spared)))
    return Collected(victims=tuple(gone), orphans=(), freed_bytes=freed)


def _planned(
    store: Store, paths: Collection[StorePath], recursive: bool, referrers: bool
) -> tuple[CollectionPlan, Graph, set[StorePath]]:
    roots = current_roots(store)
    graph = store.index.graph()
    require_rows(store, roots, ())
    everything = plan_victims(graph, roots)
    dead = set(everything.dead)
    for path in sorted(paths):
        if path not in dead:
            raise explain_live(store, graph, path)
    above = _referrers(graph)
    wanted = _closure(paths, above) if referrers else set(paths)
    if not referrers:
        _refuse_referrers(wanted, above)
    _refuse_foreign(store, wanted)
    chosen = set(wanted)
    candidates = _closure(wanted, _below(graph)) if recursive else wanted
    victims = []
    for victim in everything.victims:  # referrers first: when an object is looked at, all above it are decided
        below = victim.path in candidates and above.get(victim.path, set()) <= chosen
        if victim.path in wanted or (below and removable(store.layout.object(victim.path))):
            chosen.add(victim.path)
            victims.append(victim)
    return replace(everything, victims=tuple(victims), spared=len(dead) - len(victims)), graph, roots


def _refuse_referrers(wanted: Collection[StorePath], above: dict[StorePath, set[StorePath]]) -> None:
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
            hint="in a shared store only its owner, or root, can remove an object",
        )


def _below(graph: Graph) -> dict[StorePath, set[StorePath]]:
    return {
        path: {graph.paths[low] for low in references}
        for path, references in zip(graph.paths, graph.references, strict=True)
    }


def _referrers(graph: Graph) -> dict[StorePath, set[StorePath]]:
    above: dict[StorePath, set[StorePath]] = {}
    for path, references in zip(graph.paths, graph.references, strict=True):
        for low in references:
            above.setdefault(graph.paths[low], set()).add(path)
    return above


def _closure(starts: Iterable[StorePath], edges: dict[StorePath, set[StorePath]]) -> set[StorePath]:
    found: set[StorePath] = set()
    queue = list(starts)
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += edges.get(path, ())
    return found


def explain_live(store: Store, graph: Graph, path: StorePath) -> StoreError:
    """Why an object cannot be deleted: the root nearest to it, the chain from there, and what ends it."""
    if path not in graph.paths:
        return StoreError(f"not in the store: {path}", hint="`vstore list` shows what is")
    found = roots_keeping(store, graph, path)
    if not found:
        return BusyError(f"in use until a moment ago: {path}", hint="try again")
    root, links = found[0]
    details = [f"{root.kind} {root.name}" if root.kind != RootKind.PROCESS else root.name]
    details += [f"{'  ' * depth}-> {link}" for depth, link in enumerate(links, 1)]
    if len(found) > 1:
        details.append(f"and {len(found) - 1} other roots: {', '.join(one.name for one, _ in found[1:6])}")
    return StoreError(f"not deleted, it is alive: {path}", details=details, hint=_hint(store, root))


def roots_keeping(store: Store, graph: Graph, path: StorePath) -> list[tuple[Root, tuple[StorePath, ...]]]:
    """The roots that keep an object alive, each with the chain of references from it, the shortest first."""
    above, below = _closure([path], _referrers(graph)), _below(graph)
    roots = list_roots(store.layout)
    shown = {(root.name, root.path) for root in roots}
    for profile in store.generations.profiles():  # a generation whose link was removed by hand keeps its stack too
        for row in store.generations.of(profile):
            name = f"profiles/{generation_link(profile, row.number)}"
            if (name, row.path) not in shown:
                roots.append(Root(kind=RootKind.PROFILE, name=name, path=row.path, since=row.created_at))
    found = [(root, chain(root.path, path, lambda one: below.get(one, ()))) for root in roots if root.path in above]
    order: Sequence[RootKind] = (RootKind.PROFILE, RootKind.USER, RootKind.PROCESS, RootKind.TEMP)
    return sorted(found, key=lambda one: (len(one[1]), order.index(one[0].kind), one[0].name))


def _hint(store: Store, root: Root) -> str:
    match root.kind:
        case RootKind.PROFILE:
            name = root.name.removeprefix("profiles/")
            profile, number = generation_of(name) or (name, 0)
            link = store.layout.profiles / profile
            if link.is_symlink() and link.readlink().name == name:
                return f"it belongs to the current generation: switch {profile} to another one first"
            return f"run `vstore forget {profile} {number}`"
        case RootKind.USER:
            return f"run `vstore roots remove {root.name.removeprefix('gcroots/')}`"
        case RootKind.PROCESS:
            return f"{root.name} is running a program from it: end that first"
        case RootKind.TEMP:
            pid = root.name.rpartition("/")[2].partition("-")[0]
            return f"process {pid} of vstore is using it: wait for its end"
