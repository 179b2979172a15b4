"""Building objects: in a staging folder, then added to the store; or built again and compared."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from vstore.build.builder import Builder
from vstore.build.recipe import LayerRecipe, Recipe
from vstore.errors import NotReproducibleError, VstoreError
from vstore.fs.trees.manifest import Entry, EntryKind
from vstore.fs.trees.scan import scan
from vstore.gc import distrust_pools
from vstore.objects import StorePath
from vstore.realise.execute.disk_guard import DiskGuard
from vstore.realise.execute.interpreters import Interpreters, program_of
from vstore.realise.execute.statement import state_build
from vstore.realise.plan.document import recipe_metadata
from vstore.realise.session import Session
from vstore.realise.stack import StackRecipe, add_stack
from vstore.reporter import ByteProgress
from vstore.store import Provenance
from vstore.store.build_logs import write_log
from vstore.target import Target


class ObjectBuilder:
    """Builds the objects of layers and stacks. The caller holds the recipe's lock. Safe for several threads.

    `import_sources` adds the source objects of a recipe to the store, or raises. `locks` name the lock of each
    layer, for the statements of builds.
    """

    def __init__(
        self,
        session: Session,
        interpreters: Interpreters,
        *,
        import_sources: Callable[[LayerRecipe], None],
        keep_failed: bool = False,
        locks: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.session = session
        self.store = session.store
        self.interpreters = interpreters
        self.import_sources = import_sources
        self.keep_failed = keep_failed
        self.locks = locks
        self._disk_guard = DiskGuard(session.store, session.reporter)

    def close(self) -> None:
        """Release uv's cache for cleaning by others."""
        self._disk_guard.close()

    def build(self, recipe: Recipe) -> StorePath:
        """Build an object and add it to the store. Raises BuildError, ToolError or StoreError.

        If building a damaged layer again fails, uv's cache may share its damaged files: it is built without them.
        """
        if isinstance(recipe, StackRecipe):
            return add_stack(self.store, recipe, recipe_metadata(recipe))
        assert isinstance(recipe, LayerRecipe)
        try:
            return self._build_layer(recipe)
        except VstoreError:
            if self.store.realisations.object_of(recipe.digest) not in self.store.distrusted:
                raise
            self.session.uv.forget(wheel.name for wheel in recipe.wheels)
            distrust_pools(self.store.layout, self.session.reporter)
            return self._build_layer(recipe)

    def _build_layer(self, recipe: LayerRecipe) -> StorePath:
        started = time.monotonic()
        self._disk_guard.ensure(recipe)
        with self.store.staging(recipe.name, keep_failed=self.keep_failed) as staging:
            log = self._fill(recipe, staging)
            manifest = scan(staging, freeze=True, on_found=self._hashing(recipe))
            seconds = time.monotonic() - started
            info = self.store.add(
                staging,
                name=recipe.name,
                kind=recipe.kind,
                provenance=Provenance(
                    recipe=recipe.digest,
                    wheel_keys=tuple(recipe.wheel_key(wheel) for wheel in recipe.wheels),
                    inputs=tuple(recipe.sources),
                    build_seconds=seconds,
                    metadata=recipe_metadata(recipe),
                    builds=(state_build(recipe, seconds, self.locks.get(recipe.name)),),
                ),
                manifest=manifest,
            )
            write_log(self.store.layout, recipe.digest, log)
            return info.path

    def _hashing(self, recipe: LayerRecipe) -> Callable[[Entry, os.stat_result], None]:
        """Return the function that reports how many bytes of a layer are hashed. It raises Cancelled."""
        hashing = ByteProgress(self.session.reporter, recipe.name, "hashing and flushing")
        return lambda entry, status: hashing.add(status.st_size if entry.kind == EntryKind.FILE else 0)

    def _fill(self, recipe: LayerRecipe, staging: Path) -> list[str]:
        self.import_sources(recipe)
        self._disk_guard.hold_cache()
        is_own = recipe.target == Target.host()
        interpreter = recipe.interpreter if is_own else self.interpreters.compiler(recipe.python)
        return Builder(
            locate=self.store.layout.object,
            find_compiled=lambda key: [
                self.store.layout.object(path) for path in self.store.objects_with_wheel(key)[:1]
            ],
            uv=self.session.uv,
            jobs=self.session.jobs,
            reporter=self.session.reporter,
        ).build(recipe, staging, program_of(self.store, interpreter, recipe.python))

    def compare(self, recipe: LayerRecipe, known: StorePath) -> None:
        """Build a layer again. Raises NotReproducibleError if its bytes are not those of the known object."""
        with self.store.staging(recipe.name, keep_failed=self.keep_failed) as staging:
            self._fill(recipe, staging)
            expected, _ = self.store.manifest(known)
            found = scan(staging, on_found=lambda *_: self.session.cancel.check())
            difference = next(expected.differences(found), None)
            if difference is not None:
                raise NotReproducibleError(
                    f"layer {recipe.name} is not reproducible: {difference}",
                    details=[f"in the store: {known}"],
                    hint="run again with --keep-failed to keep the second build",
                )
