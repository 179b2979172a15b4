"""Making layers present: a graph of recipes, each present, substituted or built, several at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path

from vstore.build.builder import build_layer
from vstore.build.clashes import Clash
from vstore.build.facts import read_facts
from vstore.build.recipe import Recipe
from vstore.errors import BuildError, NotReproducible, VstoreError
from vstore.fs.scan import scan
from vstore.gc import distrust_pools
from vstore.objects import Kind, StorePath
from vstore.realise.model import Origin, RealisedLayer, Request, Substitutes
from vstore.realise.prepare import Prepared
from vstore.realise.recipes import recipe_of
from vstore.realise.sources import import_sources
from vstore.realise.space import Space
from vstore.report import Report
from vstore.spec import Layer, Spec
from vstore.stop import Stop, Stoppable, Stopped
from vstore.store import Store
from vstore.target import Target
from vstore.uv import Uv


class Realiser:
    """Makes the layers of one spec present. One use each; its methods run in several threads."""

    def __init__(
        self,
        store: Store,
        spec: Spec,
        prepared: Prepared,
        *,
        target: Target,
        request: Request,
        uv: Uv,
        report: Report,
        substitutes: Substitutes,
        stop: Stop,
    ) -> None:
        self.store = store
        self.spec = spec
        self.prepared = prepared
        self.target = target
        self.request = request
        self.stop = stop
        self.uv = replace(uv, stop=stop)
        self.report = Stoppable(report, stop)
        self.substitutes = substitutes
        self.space = Space(store, report)
        self.done: dict[str, RealisedLayer] = {}
        self.left_alone: Set[str] = frozenset()  # they must be present

    def run(self, wanted: tuple[Layer, ...]) -> tuple[RealisedLayer, ...]:
        """Make them present, lowest first. One failure stops what runs beside it, unless asked to keep going."""
        lowers = {low.env_name: low for layer in wanted for low in self.spec.lower(layer)}
        by_name = lowers | {layer.env_name: layer for layer in wanted}
        self.left_alone = lowers.keys() - {layer.env_name for layer in wanted}
        sorter = TopologicalSorter({name: [low.env_name for low in self.spec.lower(x)] for name, x in by_name.items()})
        sorter.prepare()
        failures: dict[str, VstoreError] = {}
        with (
            closing(self.space),
            ThreadPoolExecutor(max_workers=self.request.jobs) as pool,
            self.stop.set_after(errors=True),
        ):
            running: dict[Future[RealisedLayer], str] = {}
            while True:
                if not failures or self.request.keep_going:
                    for name in sorter.get_ready():
                        running[pool.submit(self._one, by_name[name])] = name
                if not running:
                    break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(finished, key=running.__getitem__):
                    name = running.pop(future)
                    try:
                        self.done[name] = future.result()
                        sorter.done(name)
                    except VstoreError as error:
                        failures[name] = error
                        if not self.request.keep_going:
                            self.stop.set()
                    except Stopped:
                        pass
        if failures:
            raise self._combined(failures, wanted)
        return (*self._interpreters(wanted), *(self.done[layer.env_name] for layer in wanted))

    def _interpreters(self, wanted: tuple[Layer, ...]) -> tuple[RealisedLayer, ...]:
        """The interpreters, once each, as the lowest layers of all."""
        found = {}
        for layer in wanted:
            interpreter = self.prepared.interpreters[layer.runtime or layer.name]
            origin = Origin.PRESENT
            if interpreter.path is None:
                origin = Origin.TO_BUILD
            elif interpreter.substituted:
                origin = Origin.TO_SUBSTITUTE if self.request.dry_run else Origin.SUBSTITUTED
            elif interpreter.built:
                origin = Origin.BUILT if interpreter.pin.is_managed(self.target) else Origin.ADOPTED
            found[interpreter.name] = RealisedLayer(
                name=interpreter.name,
                kind=Kind.INTERPRETER,
                path=interpreter.path,
                origin=origin,
                seconds=interpreter.seconds,
            )
        return tuple(found.values())

    def _combined(self, failures: Mapping[str, VstoreError], wanted: tuple[Layer, ...]) -> VstoreError:
        if len(failures) == 1:
            ((name, error),) = failures.items()
            if name not in error.message:  # of uv, for instance, which knows packages only
                error.message = f"{name}: {error.message}"
            return error
        skipped = [x.env_name for x in wanted if x.env_name not in failures and x.env_name not in self.done]
        details = []
        for name in (x.env_name for x in wanted if x.env_name in failures):
            details += [f"{name}: {failures[name].message}", *(f"  {line}" for line in failures[name].details)]
        details += [f"{name}: not built, a layer below it failed" for name in skipped]
        return BuildError(f"{len(failures)} layers could not be built", details=details)

    def _one(self, layer: Layer) -> RealisedLayer:
        started = time.monotonic()
        self.stop.check()
        origin, path = self._realise(layer)
        seconds = time.monotonic() - started
        self.report.finished(layer.env_name, str(origin), seconds)
        clashes = self._new_clashes(layer, path) if path and origin in (Origin.BUILT, Origin.SUBSTITUTED) else ()
        return RealisedLayer(
            name=layer.env_name, kind=layer.kind, path=path, origin=origin, seconds=seconds, clashes=clashes
        )

    def _new_clashes(self, layer: Layer, path: StorePath) -> tuple[Clash, ...]:
        """The clashes of a layer that the layers below it do not have."""
        below = [self.done[low.env_name].path for low in self.spec.lower(layer)]
        known = {clash for low in below if low for clash in read_facts(self.store.layout.object(low)).clashes}
        return tuple(one for one in read_facts(self.store.layout.object(path)).clashes if one not in known)

    def _realise(self, layer: Layer) -> tuple[Origin, StorePath | None]:
        recipe = self._recipe(layer)
        if recipe is None:
            stale = self.prepared.stale.get(layer.env_name)
            return (Origin.TO_LOCK if stale else Origin.TO_BUILD), None
        if (brought := self.substitutes.begun(recipe.digest)) is not None:
            return (Origin.TO_SUBSTITUTE if self.request.dry_run else Origin.SUBSTITUTED), brought
        known = self.store.realisation(recipe.digest)
        if self.request.check and known is not None and self.prepared.checks(layer):
            self._check(layer, recipe, known)
            return Origin.CHECKED, known
        if known is not None:
            return Origin.PRESENT, known
        if layer.env_name in self.left_alone:
            raise BuildError(
                f"layer {layer.env_name} is not in the store, and --no-dependencies leaves it alone",
                hint="leave out --no-dependencies, or add the layer by --include",
            )
        if self.request.dry_run:
            foreseen = self.substitutes.substitute(recipe.digest)
            return (Origin.TO_SUBSTITUTE if foreseen else Origin.TO_BUILD), foreseen
        with self.store.recipe_lock(recipe.digest, self.stop):
            known = self.store.realisation(recipe.digest)
            if known is not None:  # another process built it while this one waited
                return Origin.PRESENT, known
            known = self.substitutes.substitute(recipe.digest)
            if known is not None:
                return Origin.SUBSTITUTED, known
            return Origin.BUILT, self._build_surely(layer, recipe)

    def _recipe(self, layer: Layer) -> Recipe | None:
        """The layer's recipe; None in a dry run whose lower layers are not there yet."""
        interpreter = self.prepared.interpreters[layer.runtime or layer.name]
        return recipe_of(
            self.spec,
            layer,
            self.prepared.locked.get(layer.env_name),
            self.target,
            python=interpreter.pin.version,
            interpreter=interpreter.path,
            lowers=[self.done[low.env_name].path for low in self.spec.lower(layer)],
        )

    def _build_surely(self, layer: Layer, recipe: Recipe) -> StorePath:
        """When a damaged layer is made again, what uv's cache has of it may be the very same damaged files."""
        try:
            return self._build(layer, recipe)
        except VstoreError:
            if self.store.index.realisation(recipe.digest) not in self.store.distrusted:
                raise
            self.uv.forget(wheel.name for wheel in recipe.wheels)
            distrust_pools(self.store.layout, self.report)
            return self._build(layer, recipe)

    def _build(self, layer: Layer, recipe: Recipe) -> StorePath:
        started = time.monotonic()
        self.space.ensure(recipe)
        with self.store.staging(layer.env_name, keep_failed=self.request.keep_failed) as staging:
            log = self._fill(layer, recipe, staging)
            self.report.stage(layer.env_name, "hashing and flushing")
            manifest = scan(staging, freeze=True, on_found=lambda *_: self.stop.check())
            info = self.store.add(
                staging,
                name=layer.env_name,
                kind=layer.kind,
                recipe=recipe.digest,
                parts=[recipe.part(wheel) for wheel in recipe.wheels],
                inputs=recipe.sources,
                seconds=time.monotonic() - started,
                metadata={"recipe_text": recipe.as_json()},
                manifest=manifest,
            )
            self.store.write_log(recipe.digest, log)
            return info.path

    def _fill(self, layer: Layer, recipe: Recipe, staging: Path) -> list[str]:
        import_sources(self.store, self.spec, layer, recipe)
        self.space.hold_cache()
        return build_layer(
            recipe,
            staging,
            locate=self.store.layout.object,
            python=self.prepared.interpreters[layer.runtime or layer.name].program(self.store),
            donors=lambda part: [self.store.layout.object(path) for path in self.store.holders(part)[:1]],
            uv=self.uv,
            jobs=self.request.jobs,
            report=self.report,
        )

    def _check(self, layer: Layer, recipe: Recipe, known: StorePath) -> None:
        with self.store.staging(layer.env_name, keep_failed=self.request.keep_failed) as staging:
            self._fill(layer, recipe, staging)
            expected, _ = self.store.manifest(known)
            found = scan(staging, on_found=lambda *_: self.stop.check())
            difference = next(expected.differences(found), None)
            if difference is not None:
                raise NotReproducible(
                    f"layer {layer.env_name} built again gives other bytes: {difference}",
                    details=[f"in the store: {known}"],
                    hint="run again with --keep-failed to keep the second result",
                )
