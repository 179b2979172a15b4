"""The packages of a store, and what keeps them alive: generations and other roots."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from vstore.build.layer_metadata import read_packages
from vstore.errors import StoreError
from vstore.graph import reachable
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.reporter import Reporter
from vstore.store import Generation, Root, RootKind, Store, read_roots

_LAYERS = frozenset((Kind.RUNTIME, Kind.FRAMEWORK, Kind.APPLICATION))


class PackageVersion(NamedTuple):
    """A version of a package, whose name is normalised."""

    name: str
    version: str


class LiveStore:
    """The objects of a store at one moment, the generations and the other roots that keep them alive."""

    def __init__(self, store: Store, reporter: Reporter) -> None:
        self.store = store
        self._reporter = reporter
        self.objects: dict[StorePath, ObjectInfo] = {info.path: info for info in store.objects.all()}
        self.generations: dict[str, list[Generation]] = {}
        for one in store.generations.all():
            self.generations.setdefault(one.profile, []).append(one)
        self.roots: list[Root] = [one for one in read_roots(store.layout) if one.kind != RootKind.PROFILE]
        self._closures: dict[StorePath, frozenset[StorePath]] = {}

    def closure(self, path: StorePath) -> frozenset[StorePath]:
        """Return an object and all that it refers to. An object that is not in the index has no references."""
        if path not in self._closures:
            self._closures[path] = frozenset(reachable([path], self._references))
        return self._closures[path]

    def _references(self, path: StorePath) -> tuple[StorePath, ...]:
        info = self.objects.get(path)
        return info.references if info else ()

    @cached_property
    def live(self) -> frozenset[StorePath]:
        """The objects that a root reaches."""
        tops = [one.path for history in self.generations.values() for one in history]
        return frozenset(reachable([*tops, *(one.path for one in self.roots)], self._references))

    def layers(self, within: Iterable[StorePath] | None = None) -> list[StorePath]:
        """Return the layers of the store, or those among some objects."""
        paths = self.objects if within is None else within
        return sorted(path for path in paths if (info := self.objects.get(path)) and info.kind in _LAYERS)

    def packages(self, layers: Iterable[StorePath]) -> dict[PackageVersion, list[StorePath]]:
        """Return the packages of layers, each with the layers that have it. Damaged layers are warned of."""
        found: dict[PackageVersion, list[StorePath]] = {}
        for path in layers:
            try:
                for name, version in read_packages(self.store.layout.object(path)):
                    found.setdefault(PackageVersion(name, version), []).append(path)
            except StoreError as error:
                self._reporter.warn(f"the packages of {path} are not known: {error.message}", error.hint)
        return found

    def applications(self, stack: StorePath, layers: frozenset[StorePath]) -> tuple[str, ...]:
        """Return the names of the applications of a stack that use one of these layers."""
        return tuple(
            sorted(
                path.name
                for path in self.closure(stack)
                if (info := self.objects.get(path)) and info.kind == Kind.APPLICATION
                if not layers.isdisjoint(self.closure(path))
            )
        )
