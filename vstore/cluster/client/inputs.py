"""The objects that workers need and cannot make: interpreters, modules, local wheels. The client pushes them.

A worker never adopts an interpreter of its machine, as that would be another one than the plan names.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlparse

from vstore.build.recipe import InterpreterRecipe, LayerRecipe, Recipe
from vstore.errors import BuildError, VstoreError
from vstore.lock import PinnedWheel
from vstore.objects import Kind, StorePath
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.execute.sources import source_label
from vstore.realise.model import RealisedLayer
from vstore.realise.plan.graph import levels
from vstore.remote import Cache, Pusher, Trust
from vstore.remote.records.cache import request_threads
from vstore.remote.records.model import Realisation
from vstore.store import Store
from vstore.target import Target
from vstore.values import frozen


@frozen
class CachedNodes:
    """The nodes whose objects a cache has, and those whose objects only the store has."""

    cached: Mapping[StorePath, Realisation] = {}
    only_here: Mapping[StorePath, StorePath] = {}

    @property
    def objects(self) -> dict[StorePath, StorePath]:
        """The objects of both by node key."""
        return {**{key: one.path for key, one in self.cached.items()}, **self.only_here}


def find_cached(
    store: Store,
    cache: Cache,
    nodes: Mapping[StorePath, Recipe],
    trust: Trust,
    known: Mapping[StorePath, RealisedLayer] | None = None,
) -> CachedNodes:
    """Ask a cache once for each node whose dependencies are known, level by level.

    It is not asked for `known` nodes. A record that too few trusted keys have signed does not count. An object that
    only this store has counts if one signature is enough. Raises CacheError if the cache does not answer.
    """
    cached: dict[StorePath, Realisation] = {}
    here: dict[StorePath, StorePath] = {}
    objects = {key: one.path for key, one in (known or {}).items() if one.path}
    asked = nodes.keys() - objects.keys()
    with request_threads(cache) as pool:
        for level in levels(nodes):
            recipes = {
                key: nodes[key].over(objects).digest
                for key in asked.intersection(level)
                if all(one in objects for one in nodes[key].all_dependencies)
            }
            answers = pool.map(lambda recipe: cache.realisation(recipe, trust), recipes.values())
            for (key, recipe), found in zip(recipes.items(), answers, strict=True):
                if found is not None and trust.trusts(found):
                    cached[key], objects[key] = found, found.path
                elif trust.require == 1 and (path := store.realisation(recipe)) is not None:
                    here[key] = objects[key] = path
    return CachedNodes(cached=cached, only_here=here)


@frozen
class InputMaker:
    """The interpreters of a spec, and the function that imports the modules of one of its layers."""

    interpreters: Interpreters
    import_sources: Callable[[LayerRecipe], None]


@frozen
class Inputs:
    """The objects that were pushed for workers: interpreters by node key, compilers by version of Python, local wheels
    by SHA-256. `failures` has the error of each node whose inputs could not be made.
    """

    interpreters: Mapping[StorePath, RealisedLayer] = {}
    compilers: Mapping[str, StorePath] = {}
    wheels: Mapping[str, StorePath] = {}
    failures: Mapping[StorePath, VstoreError] = {}
    pushed_bytes: int = 0


def make_interpreters(
    nodes: Mapping[StorePath, Recipe], makers: Mapping[StorePath, InputMaker]
) -> dict[StorePath, RealisedLayer]:
    """Make the interpreters among nodes on this machine. Return those that could be made."""
    made: dict[StorePath, RealisedLayer] = {}
    for key, node in nodes.items():
        if isinstance(node, InterpreterRecipe):
            with suppress(VstoreError):  # raised again when a node needs it
                made[key] = makers[key].interpreters.realise(node)
    return made


class InputBuilder:
    """Makes the inputs of nodes. `makers` has the tools of the spec of each node."""

    def __init__(self, store: Store, makers: Mapping[StorePath, InputMaker]) -> None:
        self._store = store
        self._makers = makers
        self._interpreters: dict[StorePath, RealisedLayer] = {}
        self._compilers: dict[str, StorePath] = {}
        self._wheels: dict[str, StorePath] = {}
        self._sources: set[StorePath] = set()

    def make_and_push(self, nodes: Mapping[StorePath, Recipe], also: Iterable[StorePath], pusher: Pusher) -> Inputs:
        """Make the inputs of nodes that are to be built, and push them with the objects `also`.

        Raises the errors of a push.
        """
        failures: dict[StorePath, VstoreError] = {}
        for key, node in nodes.items():
            try:
                self._make(node, self._makers[key])
            except VstoreError as error:
                failures[key] = error
        found = {one.path for one in self._interpreters.values() if one.path}
        tops = {*also, *found, *self._compilers.values(), *self._wheels.values(), *self._sources}
        return Inputs(
            interpreters=self._interpreters,
            compilers=self._compilers,
            wheels=self._wheels,
            failures=failures,
            pushed_bytes=pusher.push(sorted(tops)).archive_bytes if tops else 0,
        )

    def _make(self, node: Recipe, maker: InputMaker) -> None:
        """Make the inputs of a node. Raises BuildError for an interpreter, a module or a wheel that is not there."""
        if isinstance(node, InterpreterRecipe):
            self._interpreters[node.key] = maker.interpreters.realise(node)
        if isinstance(node, LayerRecipe):
            if node.target != Target.host() and node.python not in self._compilers:
                self._compilers[node.python] = maker.interpreters.compiler(node.python)
            maker.import_sources(node)
            self._sources.update(node.sources)
            for wheel in node.wheels:
                if wheel.sha256 not in self._wheels and local_file(wheel) is not None:
                    self._wheels[wheel.sha256] = import_wheel(self._store, wheel)


def local_file(wheel: PinnedWheel) -> Path | None:
    """Return the file of a wheel on this machine; None for one that is downloaded."""
    if "://" not in wheel.location:
        return Path(wheel.location)
    parts = urlparse(wheel.location)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def import_wheel(store: Store, wheel: PinnedWheel) -> StorePath:
    """Add a local wheel to the store, as the only file of a source object. Raises BuildError if it has gone."""
    file = local_file(wheel)
    assert file is not None
    with store.staging(wheel.name) as staging:
        try:
            shutil.copyfile(file, staging / wheel.filename)
        except OSError as error:
            hint = "`vstore lock` locks the wheels that are there"
            raise BuildError(f"local wheel cannot be read: {file}: {error.strerror}", hint=hint) from error
        return store.add(staging, name=source_label(wheel.filename), kind=Kind.SOURCE).path
