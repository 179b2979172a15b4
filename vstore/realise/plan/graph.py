"""The plan of a spec: a graph of nodes, each the recipe of an object over other nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import PurePosixPath

from vstore.build.recipe import InterpreterRecipe, LayerRecipe, Recipe
from vstore.digest import Digest
from vstore.graph import inverted, reachable
from vstore.lock.wheels import select_wheels
from vstore.objects import Kind, StorePath
from vstore.profile import StackLayer
from vstore.realise.locking import Locks
from vstore.realise.session import Session
from vstore.realise.stack import StackRecipe
from vstore.spec import Layer, Spec
from vstore.target import Target
from vstore.values import frozen


@frozen
class Plan:
    """The nodes by key, dependencies first, and the keys of layers by env name and of interpreters by runtime.

    A layer without a valid lock has no node, and none above it has one. `stack` is None if a layer is missing.
    """

    nodes: Mapping[StorePath, Recipe] = {}
    layers: Mapping[str, StorePath] = {}
    interpreters: Mapping[str, StorePath] = {}
    stack: StorePath | None = None


def plan_layers(
    spec: Spec, layers: Sequence[Layer], target: Target, locks: Locks, source: Callable[[PurePosixPath], StorePath]
) -> Plan:
    """Plan layers and their dependencies. `source` returns the store path of a module.

    Raises LockError for a layer whose lock has no wheel for the target.
    """
    nodes: dict[StorePath, Recipe] = {}
    keys: dict[str, StorePath] = {}
    wanted = {name for layer in layers for name in (layer.env_name, *layer.dependency_names)}
    interpreters = {name: InterpreterRecipe.of(pin, str(target)) for name, pin in locks.pins.items()}
    nodes.update((one.key, one) for one in interpreters.values())
    for layer in spec.layers:
        interpreter, lock = interpreters.get(layer.runtime.name), locks.locked.get(layer.env_name)
        if layer.env_name not in wanted or interpreter is None or lock is None:
            continue
        if any(name not in keys for name in layer.dependency_names):
            continue
        recipe = LayerRecipe(
            name=layer.env_name,
            kind=layer.kind,
            target=str(target),
            python=interpreter.version,
            interpreter=interpreter.key,
            wheels=select_wheels(lock, layer, target, interpreter.version),
            dependencies=tuple(keys[name] for name in layer.dependency_names),
            sources=tuple(source(module) for module in layer.modules),
            launch_module=layer.launch_module.stem if layer.launch_module else None,
            dynlib_exclude=tuple(sorted(set(layer.dynlib_exclude))),
        )
        keys[layer.env_name] = recipe.key
        nodes[recipe.key] = recipe
    runtimes = {name: one.key for name, one in interpreters.items()}
    if any(layer.env_name not in keys for layer in layers):
        return Plan(nodes=nodes, layers=keys, interpreters=runtimes)
    used = dict.fromkeys(interpreters[layer.runtime.name] for layer in layers)
    stack = StackRecipe.of(
        spec.profile,
        str(target),
        (
            *(StackLayer(name=one.name, kind=Kind.INTERPRETER, path=one.key) for one in used),
            *(StackLayer(name=one.env_name, kind=one.kind, path=keys[one.env_name]) for one in layers),
        ),
    )
    nodes[stack.key] = stack
    return Plan(nodes=nodes, layers=keys, interpreters=runtimes, stack=stack.key)


def levels(nodes: Mapping[StorePath, Recipe]) -> Iterator[tuple[StorePath, ...]]:
    """Return the keys in groups. The dependencies of a group are in groups before it."""
    sorter = TopologicalSorter({key: recipe.all_dependencies for key, recipe in nodes.items()})
    sorter.prepare()
    while ready := sorter.get_ready():
        yield ready
        sorter.done(*ready)


def users(nodes: Mapping[StorePath, Recipe]) -> dict[StorePath, set[StorePath]]:
    """Return for each node the nodes that need it."""
    return inverted({key: [one for one in node.all_dependencies if one in nodes] for key, node in nodes.items()})


def priorities(nodes: Mapping[StorePath, Recipe], seconds: Callable[[Recipe], float]) -> dict[StorePath, float]:
    """Return for each node the seconds of the longest path from it to the top, itself included."""
    above = users(nodes)
    found: dict[StorePath, float] = {}
    for level in reversed(list(levels(nodes))):
        for key in nodes.keys() & set(level):
            found[key] = seconds(nodes[key]) + max((found[one] for one in above.get(key, ())), default=0.0)
    return found


@frozen
class KnownObjects:
    """The known objects of nodes, and the recipes of those that only a cache has."""

    objects: Mapping[StorePath, StorePath]
    cached: Mapping[StorePath, Digest]


def find_known(session: Session, nodes: Mapping[StorePath, Recipe]) -> KnownObjects:
    """Find the objects of nodes in the store and in caches, one level at a time, without fetching them.

    A recipe names its dependencies by store path, and the record of a dependency in a cache has that path. So the
    records are enough to find a whole plan in caches.
    """
    objects: dict[StorePath, StorePath] = {}
    cached: dict[StorePath, Digest] = {}
    for level in levels(nodes):
        recipes = {
            key: nodes[key].over(objects).digest
            for key in level
            if all(below in objects for below in nodes[key].all_dependencies)
        }
        present = {
            key: path for key, recipe in recipes.items() if (path := session.store.realisation(recipe)) is not None
        }
        found = session.substituter.find(recipe for key, recipe in recipes.items() if key not in present)
        only_cached = {key: recipe for key, recipe in recipes.items() if recipe in found and key not in present}
        objects |= present | {key: found[recipe] for key, recipe in only_cached.items()}
        cached |= only_cached
    return KnownObjects(objects=objects, cached=cached)


def needed(
    nodes: Mapping[StorePath, Recipe], tops: Sequence[StorePath], known: KnownObjects
) -> dict[StorePath, Recipe]:
    """Return the nodes that `tops` need, dependencies first, without those below a known object."""
    found = reachable(tops, lambda key: () if key in known.objects else nodes[key].all_dependencies)
    return {key: recipe for key, recipe in nodes.items() if key in found}
