"""The plan of a spec: a graph of nodes, each a recipe over other nodes. Pure, and read by whatever carries it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import PurePosixPath

from vstore.build.recipe import InterpreterRecipe, LayerRecipe, Recipe
from vstore.digest import Digest
from vstore.lock import InterpreterPin, LockedLayer
from vstore.lock.select import select
from vstore.lock.staleness import runtime_of
from vstore.objects import Kind, StorePath
from vstore.profile import StackLayer
from vstore.realise.model import Substituter
from vstore.realise.stack import StackRecipe
from vstore.spec import Layer, Spec
from vstore.store import Store
from vstore.target import Target
from vstore.values import frozen


@frozen
class Plan:
    """`nodes` by key, dependencies first; `layers` are the keys of layers by env name, `interpreters` by runtime.

    Layers whose lock is not known have none, nor have those above them; then `stack` is None.
    """

    nodes: Mapping[StorePath, Recipe] = {}
    layers: Mapping[str, StorePath] = {}
    interpreters: Mapping[str, StorePath] = {}
    stack: StorePath | None = None


def make_plan(
    spec: Spec,
    layers: Sequence[Layer],
    target: Target,
    *,
    locked: Mapping[str, LockedLayer],
    pins: Mapping[str, InterpreterPin],
    source: Callable[[PurePosixPath], StorePath],
) -> Plan:
    """Plan these layers and all that they need; `pins` are by runtime, `source` gives a module's store path.

    Raises LockError for a layer whose lock has no wheel for the target.
    """
    nodes: dict[StorePath, Recipe] = {}
    keys: dict[str, StorePath] = {}
    wanted = {low.env_name for layer in layers for low in (layer, *spec.dependencies(layer))}
    interpreters = {name: InterpreterRecipe.of(pin, str(target)) for name, pin in pins.items()}
    nodes.update((one.key, one) for one in interpreters.values())
    for layer in spec.layers:
        interpreter, lock = interpreters.get(runtime_of(spec, layer).name), locked.get(layer.env_name)
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
            wheels=select(lock, layer, target, interpreter.version),
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
    used = dict.fromkeys(interpreters[runtime_of(spec, layer).name] for layer in layers)
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
    """The keys in groups: a group needs only groups before it."""
    sorter = TopologicalSorter({key: recipe.all_dependencies for key, recipe in nodes.items()})
    sorter.prepare()
    while ready := sorter.get_ready():
        yield ready
        sorter.done(*ready)


@frozen
class Known:
    """The objects of nodes that are known: those in the store, and those that only a cache has, with their recipes."""

    objects: Mapping[StorePath, StorePath]
    cached: Mapping[StorePath, Digest]


def find_known(store: Store, substitutes: Substituter, nodes: Mapping[StorePath, Recipe]) -> Known:
    """Ask the store and the caches for what nodes give, all of a level at once; no byte of an archive is moved.

    A recipe names the objects below by store path, and a cache's record of one below says that path: so what caches
    have of a whole plan is known from records alone.
    """
    objects: dict[StorePath, StorePath] = {}
    cached: dict[StorePath, Digest] = {}
    for level in levels(nodes):
        recipes = {
            key: nodes[key].over(objects).digest
            for key in level
            if all(below in objects for below in nodes[key].all_dependencies)
        }
        here = {key: path for key, recipe in recipes.items() if (path := store.realisation(recipe)) is not None}
        found = substitutes.find(recipe for key, recipe in recipes.items() if key not in here)
        only_cached = {key: recipe for key, recipe in recipes.items() if recipe in found and key not in here}
        objects |= here | {key: found[recipe] for key, recipe in only_cached.items()}
        cached |= only_cached
    return Known(objects=objects, cached=cached)


def needed(nodes: Mapping[StorePath, Recipe], tops: Sequence[StorePath], known: Known) -> dict[StorePath, Recipe]:
    """The nodes that must be looked at to realise `tops`: nothing below an object that is known, dependencies first."""
    found: set[StorePath] = set()
    queue = list(tops)
    while queue:
        key = queue.pop()
        if key not in found:
            found.add(key)
            queue += () if key in known.objects else nodes[key].all_dependencies
    return {key: recipe for key, recipe in nodes.items() if key in found}
