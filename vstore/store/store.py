"""The store: adding complete objects, finding them, and keeping them alive while they are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Self

from vstore.cancel import CancelToken
from vstore.config import Config, read_config
from vstore.digest import Digest
from vstore.errors import NotReproducibleError, StoreError
from vstore.fs.atomic import flush_filesystem
from vstore.fs.disk import is_read_only
from vstore.fs.faults import Point, reached
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.manifest import Manifest
from vstore.fs.trees.scan import scan
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.store.creation import check_folders, check_index_file, check_owner, create_folders, is_empty
from vstore.store.emergency_space import keep_emergency_space
from vstore.store.index.archives import PackedArchiveIndex
from vstore.store.index.connection import Database
from vstore.store.index.generations import Generations
from vstore.store.index.last_used import LastUsed
from vstore.store.index.objects import ObjectIndex
from vstore.store.index.realisations import Realisations
from vstore.store.layout import StoreLayout
from vstore.store.manifests import (
    ManifestMetadata,
    builds_of,
    kind_in_tree,
    merge_builds,
    merge_metadata,
    read_manifest,
    write_manifest,
)
from vstore.store.model import NO_PROVENANCE, Provenance
from vstore.store.roots.temp import TempRoots
from vstore.store.staging import check_mounts, move_in, staging
from vstore.values import replace

_NO_INDEX_HINT = "run `vstore reindex`"


class Store:
    """One open store. Safe for several threads of one process and for several processes.

    `layout` has its places on disk. `objects`, `realisations`, `generations`, `last_used` and `archives` are the
    parts of its index, all in one `database`. `distrusted` objects count as missing in this process, because they are
    damaged, until they are added again; the new tree is then exchanged with the damaged one in one step.
    """

    def __init__(self, layout: StoreLayout, database: Database, held: ExitStack) -> None:
        self.layout = layout
        self.database = database
        self.objects = ObjectIndex(database)
        self.realisations = Realisations(database)
        self.generations = Generations(database, layout.profiles)
        self.last_used = LastUsed(database)
        self.archives = PackedArchiveIndex(database)
        self.distrusted: set[StorePath] = set()
        self._temp_roots = TempRoots(layout)
        self._held = held
        self._one_mount = False
        self._immutable = database.read_only and is_read_only(layout.root)  # nothing is collected there

    @classmethod
    def open(cls, root: Path, *, read_only: bool = False, create: bool = True) -> Self:
        """Open the store at `root`. If there is none, it is created, unless `read_only` or without `create`.

        Raises StoreError if there is no store and none is created, or if it is damaged or of another release. Raises
        OSError.
        """
        layout = StoreLayout(root)
        check_folders(layout)
        check_index_file(layout)
        if (read_only or not create) and not layout.index_file.exists():
            if layout.store.is_dir() and not is_empty(layout):
                raise StoreError(f"the index is missing: {layout.index_file}", hint=_NO_INDEX_HINT)
            raise StoreError(f"there is no store at {root}", hint="`vstore realise SPEC` creates it; or give --root")
        with ExitStack() as held:
            if not read_only:
                check_owner(layout)
                if create_folders(layout):
                    keep_emergency_space(layout)
                held.enter_context(lock_file(layout.locks.use, shared=True))  # `reindex` replaces the index
                if not layout.index_file.exists() and not is_empty(layout):
                    raise StoreError(f"the index is missing: {layout.index_file}", hint=_NO_INDEX_HINT)
            database = Database(layout.index_file, read_only=read_only, is_new=lambda: is_empty(layout))
            held.callback(database.close)
            return cls(layout, database, held.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End this process's temp roots and close the index."""
        self._temp_roots.close()
        self._held.close()

    @cached_property
    def config(self) -> Config:
        """The content of ``config.toml``, read once. Raises UsageError if it is invalid."""
        return read_config(self.layout.config_file)

    # using objects

    def add_temp_root(self, *paths: StorePath) -> None:
        """Keep these objects alive until the store is closed. Check whether they are valid only afterwards."""
        if not self._immutable:
            self._temp_roots.add(paths)

    @contextmanager
    def kept_alive(self, *paths: StorePath) -> Iterator[None]:
        """Keep these objects alive while the block runs. Check whether they are valid only inside it."""
        with closing(TempRoots(self.layout)) as roots:
            if not self._immutable:
                roots.add(paths)
            yield

    def is_valid(self, path: StorePath) -> bool:
        """Return whether an object is in the store and not distrusted."""
        return path not in self.distrusted and self.objects.is_registered(path)

    def realisation(self, recipe: Digest) -> StorePath | None:
        """Return the object that a recipe gave, and keep it alive; None if there is none."""
        return self._kept(self.realisations.object_of(recipe))

    def cached_stack(self, inputs: bytes) -> StorePath | None:
        """Return the stack that was realised from inputs with this digest, and keep it alive; None if there is none."""
        return self._kept(self.realisations.cached_stack(inputs))

    def objects_with_wheel(self, wheel_key: bytes) -> list[StorePath]:
        """Return the objects that hold a compiled wheel, newest first, and keep them alive."""
        return [path for path in self.realisations.objects_with_wheel(wheel_key) if self._kept(path)]

    def _kept(self, path: StorePath | None) -> StorePath | None:
        if path is None:
            return None
        self._temp_roots.add((path,))
        return path if self.is_valid(path) else None

    def manifest(self, path: StorePath) -> tuple[Manifest, ManifestMetadata]:
        """Return an object's tree manifest and its metadata. Raises StoreError if they are missing or damaged."""
        return read_manifest(self.layout.manifest(path))

    # adding objects

    @contextmanager
    def staging(self, name: str, *, keep_failed: bool = False) -> Iterator[Path]:
        """Make a locked folder to build in. It is removed at the end, or with `keep_failed` moved aside after an error.

        For a store on a read-only file system it is in the machine's folder for temporary files.
        """
        if self._immutable:
            from tempfile import TemporaryDirectory  # other commands do without it

            with TemporaryDirectory(prefix=f"vstore-{name[:32]}-") as elsewhere:
                yield Path(elsewhere)
            return
        if not self._one_mount:
            check_mounts(self.layout)
            self._one_mount = True
        with staging(self.layout, name, keep_failed=keep_failed) as folder:
            yield folder

    @contextmanager
    def recipe_lock(self, recipe: Digest, cancel: CancelToken | None = None) -> Iterator[None]:
        """Hold the lock of a recipe while it is built. Waits for another builder, until `cancel` is set."""
        with lock_file(self.layout.locks.recipe(recipe), transient=True, builds=True, cancel=cancel):
            yield

    def add(
        self,
        staged: Path,
        *,
        name: str,
        kind: Kind,
        provenance: Provenance = NO_PROVENANCE,
        manifest: Manifest | None = None,
    ) -> ObjectInfo:
        """Turn a staged tree into a registered object; an object that exists is not written again.

        `kind` counts only if the files of the tree state none. Pass `manifest` if the tree has been hashed and frozen
        already. Order: hash and freeze, temp root, manifest file, flush, move into place, row.
        Raises StoreError if the tree refers to an object that is not valid, or cannot be in a store, and
        NotReproducibleError if the recipe gave another object, now distrusted.
        """
        manifest = manifest or scan(staged, freeze=True)
        reached(Point.ADD_SCANNED)
        path = StorePath.make(manifest.digest, name)
        provenance = replace(provenance, inputs=tuple(sorted(provenance.inputs)))
        self._check_reproduced(path, manifest, provenance.recipe)
        self.add_temp_root(path)
        reached(Point.ADD_NAMED)
        with lock_file(self.layout.locks.object(str(path))):
            known = self.objects.info(path)
            if known is not None and path not in self.distrusted and self.layout.object(path).is_dir():
                self._add_provenance(known, provenance)
                return known
            info = ObjectInfo(
                path=path,
                digest=manifest.digest,
                kind=kind_in_tree(staged, manifest.outline) or kind,
                size_bytes=manifest.size_bytes,
                files=manifest.files,
                references=tuple(sorted(manifest.references(path))),
                recipe=provenance.recipe,
                registered_at=datetime.now(UTC).replace(microsecond=0),
                inputs=provenance.inputs,
            )
            self._require_valid(path, (*info.references, *provenance.inputs))
            kept = provenance
            if known is not None:
                info, kept = merge_metadata(self.layout, self.realisations, known, info, provenance)
            write_manifest(self.layout, info, manifest, kept)
            reached(Point.ADD_DESCRIBED)
            flush_filesystem(self.layout.store)
            reached(Point.ADD_FLUSHED)
            move_in(self.layout, staged, self.layout.object(path))
            self.objects.register(info, kept)
            reached(Point.ADD_REGISTERED)
            self.distrusted.discard(path)
            if known is not None:
                self._add_provenance(info, provenance)
            return info

    def _require_valid(self, path: StorePath, needed: tuple[StorePath, ...]) -> None:
        self.add_temp_root(*needed)
        missing = [str(one) for one in needed if not self.is_valid(one)]
        if missing:
            raise StoreError(f"{path} refers to objects that are not in the store", details=missing)

    def _check_reproduced(self, path: StorePath, manifest: Manifest, recipe: Digest | None) -> None:
        """Raise NotReproducibleError if a recipe that gave a distrusted object does not give it again."""
        earlier = self.realisations.object_of(recipe) if recipe and self.distrusted else None
        if earlier is None or earlier == path or earlier not in self.distrusted:
            return
        try:
            differences = list(islice(self.manifest(earlier)[0].differences(manifest), 5))
        except StoreError:
            differences = []
        raise NotReproducibleError(f"built again, {earlier} has other bytes", details=differences)

    def add_provenance(self, path: StorePath, provenance: Provenance) -> None:
        """Record how a registered object can also be made. Raises StoreError if it is not in the store."""
        with lock_file(self.layout.locks.object(str(path))):
            info = self.objects.info(path)
            if info is None:
                raise StoreError(f"not in the store: {path}")
            self._add_provenance(info, provenance)

    def _add_provenance(self, info: ObjectInfo, provenance: Provenance) -> None:
        """Write the new facts to the manifest file and to the index. Needs the object's lock."""
        path, recipe = info.path, provenance.recipe
        new_recipe = recipe if recipe and self.realisations.object_of(recipe) != path else None
        new_keys = [key for key in provenance.wheel_keys if path not in self.realisations.objects_with_wheel(key)]
        inputs = tuple(sorted({*info.inputs, *provenance.inputs}))
        if not new_recipe and not new_keys and inputs == info.inputs:
            return
        manifest, metadata = self.manifest(path)
        others = {str(new_recipe)} if new_recipe and new_recipe != info.recipe else set()
        merged = Provenance(
            wheel_keys=tuple(sorted({*map(bytes.fromhex, metadata["wheel_keys"]), *new_keys})),
            metadata={**metadata, "recipes": sorted({*metadata.get("recipes", ()), *others})},
            builds=merge_builds(*builds_of(metadata), *provenance.builds),
        )
        write_manifest(self.layout, replace(info, inputs=inputs), manifest, merged, durable=True)
        self.realisations.add(path, replace(provenance, recipe=new_recipe, wheel_keys=tuple(new_keys)))
