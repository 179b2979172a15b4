"""Plans for other engines: the graph of nodes that specs need, and building one of these nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from vstore.build.recipe import LayerRecipe, Recipe, is_node_key
from vstore.errors import UsageError
from vstore.objects import StorePath
from vstore.realise.interpreters import Interpreters
from vstore.realise.layers import Realiser
from vstore.realise.make import Maker
from vstore.realise.model import RealisedLayer, Request
from vstore.realise.noop import profile_name
from vstore.realise.plan import find_known, needed
from vstore.realise.prepare import prepare
from vstore.realise.session import Session
from vstore.realise.sources import Sources, require
from vstore.store import BuildCost
from vstore.values import frozen


@frozen
class PlannedStack:
    """A stack of a plan: the spec and platform that ask for it, the profile that `realise` would switch, its node."""

    spec: str
    target: str
    profile: str
    node: StorePath


@frozen
class PlannedNode:
    """A node. `object` is known where the store or a cache has it (`cached`), and then nothing below it is planned.

    `dependencies` are the nodes to be built before, `objects` the objects that are known of all that it needs.
    `expected` are the seconds and bytes of the last object of that name, None if there was none here.
    """

    node: Recipe
    object: StorePath | None
    cached: bool
    dependencies: tuple[StorePath, ...]
    objects: Mapping[StorePath, StorePath]
    expected: BuildCost | None


@frozen
class Planned:
    """The plan of several specs and platforms, equal nodes joined; dependencies come first."""

    stacks: tuple[PlannedStack, ...]
    nodes: tuple[PlannedNode, ...]


def plan(session: Session, requests: Sequence[Request]) -> Planned:
    """Plan what realising these would need, and import the modules of the layers that would be built.

    Raises SpecError, and LockError where a lock is missing or stale: a plan locks nothing.
    """
    stacks: list[PlannedStack] = []
    nodes: dict[StorePath, Recipe] = {}
    sources: dict[StorePath, Sources] = {}
    for request in requests:
        ready = prepare(session, replace(request, locked=True, dry_run=True))
        found = ready.plan
        assert found.stack is not None  # all locks are there
        stack = PlannedStack(
            spec=str(ready.spec.path),
            target=str(request.platform),
            profile=profile_name(ready.spec, request),
            node=found.stack,
        )
        stacks.append(stack)
        nodes |= found.nodes
        sources |= dict.fromkeys(found.nodes, ready.sources)
    known = find_known(session.store, session.substitutes, nodes)
    pruned = needed(nodes, [stack.node for stack in stacks], known)
    for key, node in pruned.items():
        if key not in known.objects and isinstance(node, LayerRecipe):
            sources[key].add(node)

    def missing(key: StorePath) -> bool:
        return key not in known.objects or key in known.cached

    return Planned(
        stacks=tuple(stacks),
        nodes=tuple(
            PlannedNode(
                node=node,
                object=known.objects.get(key),
                cached=key in known.cached,
                dependencies=() if key in known.objects else tuple(filter(missing, node.all_dependencies)),
                objects={one: known.objects[one] for one in node.all_dependencies if one in known.objects},
                expected=session.store.realisations.expected_cost(node.name),
            )
            for key, node in pruned.items()
        ),
    )


def build(session: Session, node: Recipe, objects: Mapping[StorePath, StorePath], *, offline: bool) -> RealisedLayer:
    """Realise one node over the objects of its dependencies: present, else substituted, else built.

    Raises UsageError where the object of a dependency is not given, StoreError where it is not in the store.
    """
    below = {key: objects.get(key) if is_node_key(key) else key for key in node.all_dependencies}
    missing = [str(key) for key, path in below.items() if path is None]
    if missing:
        raise UsageError(
            f"{node.name}: the objects of {len(missing)} dependencies are not given: {', '.join(missing)}",
            hint=f"build these first, then give `--object {missing[0]}=PATH`",
        )
    interpreters = Interpreters(session, offline=offline)
    with closing(Maker(session, interpreters, import_sources=lambda recipe: require(session.store, recipe))) as maker:
        return Realiser(session, maker).realise(node, below)
