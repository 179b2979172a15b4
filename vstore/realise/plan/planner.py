"""Plans for other engines: the graph of nodes of several specs, and building one of these nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from vstore.build.recipe import LayerRecipe, Recipe, is_node_key
from vstore.errors import UsageError
from vstore.lock import Project
from vstore.objects import StorePath
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.execute.messages import NodeTask
from vstore.realise.execute.nodes import NodeRealiser
from vstore.realise.execute.object_builder import ObjectBuilder
from vstore.realise.execute.sources import ModuleSources, require_inputs
from vstore.realise.model import RealisedLayer, Request
from vstore.realise.plan.graph import find_known, needed
from vstore.realise.prepare import prepare
from vstore.realise.session import Session
from vstore.store import BuildCost
from vstore.values import frozen


@frozen
class PlannedStack:
    """A stack of a plan: its spec and platform, its profile, and its node."""

    spec: str
    target: str
    profile: str
    node: StorePath


@frozen
class PlannedNode:
    """A node. `object` is known if the store has it, or a cache (`cached`); then its dependencies are not planned.

    `dependencies` are the nodes to build first, `objects` the known objects of its dependencies. `expected` are seconds
    and bytes of the last object of that name, None if the store has had none.
    """

    node: Recipe
    object: StorePath | None
    cached: bool
    dependencies: tuple[StorePath, ...]
    objects: Mapping[StorePath, StorePath]
    expected: BuildCost | None


@frozen
class Planned:
    """The plan of several specs and platforms. Equal nodes are one; dependencies come first."""

    stacks: tuple[PlannedStack, ...]
    nodes: tuple[PlannedNode, ...]


def plan(session: Session, requests: Sequence[Request]) -> Planned:
    """Plan requests, and import the modules of layers that have to be built.

    Raises SpecError, and LockError for a lock that is missing or stale, as a plan does not lock.
    """
    stacks: list[PlannedStack] = []
    nodes: dict[StorePath, Recipe] = {}
    sources: dict[StorePath, ModuleSources] = {}
    for request in requests:
        project = Project.load(request.spec, environment=request.environment, allow_outside=request.allow_outside)
        found = prepare(session, project, replace(request, locked=True, dry_run=True, generation=False))
        assert found.plan.stack is not None  # as all layers are locked
        stacks.append(
            PlannedStack(
                spec=str(project.spec.path),
                target=str(request.platform),
                profile=found.profile,
                node=found.plan.stack,
            )
        )
        nodes |= found.plan.nodes
        sources |= dict.fromkeys(found.plan.nodes, found.sources)
    known = find_known(session, nodes)
    pruned = needed(nodes, [stack.node for stack in stacks], known)
    for key, node in pruned.items():
        if key not in known.objects and isinstance(node, LayerRecipe):
            sources[key].import_all(node)

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


def build_node(session: Session, task: NodeTask) -> RealisedLayer:
    """Realise one node: its object is present, else substituted, else built.

    Raises UsageError if the object of a dependency is not known, StoreError if it is not in the store.
    """
    recipe = task.node.recipe
    below = {key: task.node.objects.get(key) if is_node_key(key) else key for key in recipe.all_dependencies}
    missing = [str(key) for key, path in below.items() if path is None]
    if missing:
        raise UsageError(
            f"{recipe.name}: the objects of {len(missing)} dependencies are unknown: {', '.join(missing)}",
            hint=f"build them first, and pass `--object {missing[0]}=PATH`",
        )
    builder = ObjectBuilder(
        session,
        Interpreters(session, compiler=task.compiler),
        import_sources=lambda recipe: require_inputs(session.store, recipe),
        locks={recipe.name: task.lock} if task.lock else {},
    )
    with closing(builder):
        return NodeRealiser(session, builder).realise(recipe, below)
