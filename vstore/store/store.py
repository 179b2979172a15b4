"""The store: adding complete objects, finding them, keeping them alive while they are used."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Self

from vstore.cancel import CancelToken
from vstore.config import Config, read_config
from vstore.credentials import redact
from vstore.digest import Digest
from vstore.errors import NotReproducibleError, StoreError, nearest
from vstore.fs.atomic import flush_filesystem
from vstore.fs.disk import is_read_only
from vstore.fs.faults import Point, reached
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.manifest import Manifest
from vstore.fs.trees.scan import scan
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.store.emergency_space import keep_emergency_space
from vstore.store.index.generations import Generations
from vstore.store.index.objects import Index
from vstore.store.kinds import kind_of
from vstore.store.last_used import Uses
from vstore.store.layout import Layout
from vstore.store.manifests import merge_metadata, read_manifest, write_manifest
from vstore.store.roots import TempRoots, object_at
from vstore.store.staging import check_mounts, move_in, staging
from vstore.values import replace

_LOG_BYTES = 1 << 28


class Store:
    """One open store. Safe for several threads of one process and for several processes."""

    def __init__(self, layout: Layout, index: Index, held: ExitStack) -> None:
        self.layout = layout
        self.index = index
        self.generations = Generations(index.database)
        self.uses = Uses(index.database)
        self._temp = TempRoots(layout)
        self._held = held
        self._distrusted: set[StorePath] = set()
        self._one_mount = False
        self._immutable = index.database.read_only and is_read_only(layout.root)  # nothing is collected there

    @classmethod
    def open(cls, root: Path, *, read_only: bool = False) -> Self:
        """Open the store at `root`, making it unless read-only.

        Raises StoreError when there is none to read, when it is damaged or of another release, and OSError.
        """
        layout = Layout(root)
        layout.check()
        layout.check_index()
        if read_only and not layout.index_file.exists():
            if layout.store.is_dir() and not layout.is_empty():
                raise StoreError(f"the index is missing: {layout.index_file}", hint="run `vstore reindex`")
            raise StoreError(f"there is no store at {root}", hint="`vstore realise SPEC` makes one; or give --root")
        with ExitStack() as held:
            if not read_only:
                layout.check_owner()
                if layout.create():
                    keep_emergency_space(layout)
                held.enter_context(lock_file(layout.use_lock, shared=True))  # `reindex` replaces the index
                if not layout.index_file.exists() and not layout.is_empty():
                    raise StoreError(f"the index is missing: {layout.index_file}", hint="run `vstore reindex`")
            index = held.enter_context(Index(layout.index_file, read_only=read_only, is_new=layout.is_empty))
            return cls(layout, index, held.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._temp.close()
        self._held.close()

    @cached_property
    def config(self) -> Config:
        """What ``config.toml`` says, read once. UsageError if it makes no sense."""
        return read_config(self.layout.config_file)

    # using what is there

    def add_temp_root(self, *paths: StorePath) -> None:
        """Keep these objects alive until the store is closed. Ask whether they are valid only afterwards."""
        if not self._immutable:
            self._temp.add(paths)

    @contextmanager
    def kept(self, *paths: StorePath) -> Iterator[None]:
        """Keep these objects alive while the block runs. Ask whether they are valid only in it."""
        with closing(TempRoots(self.layout)) as roots:
            if not self._immutable:
                roots.add(paths)
            yield

    def is_valid(self, path: StorePath) -> bool:
        return path not in self._distrusted and self.index.is_valid(path)

    def distrust(self, paths: Iterable[StorePath]) -> None:
        """From now on, in this process, these count as not there, because they are damaged: until they are added anew.

        What is added in their place is exchanged with them in one step, so that whoever uses one sees either.
        """
        self._distrusted.update(paths)

    def trust(self, path: StorePath) -> None:
        """It was put right where it is."""
        self._distrusted.discard(path)

    @property
    def distrusted(self) -> frozenset[StorePath]:
        return frozenset(self._distrusted)

    def realisation(self, recipe: Digest) -> StorePath | None:
        """The object that this recipe gave, kept alive from now on; None if there is none."""
        return self._kept(self.index.realisation(recipe))

    def cached_stack(self, key: bytes) -> StorePath | None:
        """The object that answers a question asked before, kept alive from now on."""
        return self._kept(self.index.memo(key))

    def holders(self, part: bytes) -> list[StorePath]:
        """The objects that hold a part, newest first, kept alive from now on."""
        return [path for path in self.index.holders(part) if self._kept(path)]

    def _kept(self, path: StorePath | None) -> StorePath | None:
        if path is None:
            return None
        self._temp.add((path,))
        return path if self.is_valid(path) else None

    def manifest(self, path: StorePath) -> tuple[Manifest, dict[str, object]]:
        """The object's tree manifest and its metadata."""
        return read_manifest(self.layout.manifest(path))

    def resolve(self, text: str) -> StorePath:
        """The one object that a store path, the start of one, a layer's name, or a place on disk stands for.

        Raises StoreError, naming the candidates when there are several.
        """
        at = object_at(self.layout, Path(text)) if "/" in text else None
        found = self.index.find(str(at or text)) if text else []
        if len(found) == 1:
            return found[0]
        if not found:
            near = nearest(text, {info.path.name for info in self.index.objects()})
            hint = f"did you mean {near!r}? `vstore list` shows them all" if near else "`vstore list` shows them"
            raise StoreError(f"no object in the store is called {text!r}", hint=hint)
        raise StoreError(f"{text!r} could be any of {len(found)} objects", details=[str(path) for path in found])

    def closure(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """The objects and all that they refer to, directly and further down."""
        seen: set[StorePath] = set()
        queue = list(paths)
        while queue:
            path = queue.pop()
            if path in seen:
                continue
            info = self.index.info(path)
            if info is None:
                raise StoreError(f"not in the store: {path}")
            seen.add(path)
            queue += info.references
        return seen

    # adding

    @contextmanager
    def staging(self, name: str, *, keep_failed: bool = False) -> Iterator[Path]:
        """A folder to build in, locked while it is ours; removed at the end unless a failure is to be kept.

        For a store on a read-only file system it lies in the machine's folder for temporary files.
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
        """Held while a recipe is built, so that others wait and then find it; until `cancel` is set."""
        with lock_file(self.layout.locks / f"recipe-{recipe.short}", transient=True, builds=True, cancel=cancel):
            yield

    def add(
        self,
        staged: Path,
        *,
        name: str,
        kind: Kind,
        recipe: Digest | None = None,
        parts: Iterable[bytes] = (),
        inputs: Iterable[StorePath] = (),
        seconds: float | None = None,
        metadata: Mapping[str, object] | None = None,
        manifest: Manifest | None = None,
    ) -> ObjectInfo:
        """Turn a staged tree into a registered object; one that is there already is not written again.

        The tree tells the `kind`; that of the caller counts for a tree that tells none.
        Order: hash and freeze, name it in a temp root, manifest, flush, move into place, row. With a `manifest`, of
        one who hashed every file while writing and froze them, the first of these is done.
        Raises StoreError if it refers to what is not valid, or cannot be in a store;
        NotReproducibleError if a distrusted object is what the recipe gave.
        """
        manifest = manifest or scan(staged, freeze=True)
        reached(Point.ADD_SCANNED)
        path = StorePath.make(manifest.digest, name)
        parts, inputs = tuple(parts), tuple(sorted(inputs))
        self._expect(path, manifest, recipe)
        self.add_temp_root(path)
        reached(Point.ADD_NAMED)
        with lock_file(self.layout.object_lock(str(path))):
            known = self.index.info(path)
            if known is not None and path not in self._distrusted and self.layout.object(path).is_dir():
                self._realised_again(path, recipe, parts, inputs, seconds)
                return known
            info = ObjectInfo(
                path=path,
                digest=manifest.digest,
                kind=kind_of(staged, manifest) or kind,
                size_bytes=manifest.size_bytes,
                files=manifest.files,
                references=tuple(sorted(manifest.references(path))),
                recipe=recipe,
                registered_at=datetime.now(UTC).replace(microsecond=0),
                inputs=inputs,
            )
            self._require(path, (*info.references, *inputs))
            if known is not None:
                info, parts, metadata = merge_metadata(self.index, self.layout, known, info, parts, metadata or {})
            write_manifest(self.layout, info, manifest, parts, metadata or {})
            reached(Point.ADD_DESCRIBED)
            flush_filesystem(self.layout.store)
            reached(Point.ADD_FLUSHED)
            move_in(self.layout, staged, self.layout.object(path))
            self.index.register(info, parts=parts, seconds=seconds)
            reached(Point.ADD_REGISTERED)
            self.trust(path)
            if known is not None:
                self._realised_again(path, recipe, parts, inputs, seconds)
            return info

    def _require(self, path: StorePath, needed: tuple[StorePath, ...]) -> None:
        self.add_temp_root(*needed)
        missing = [str(one) for one in needed if not self.is_valid(one)]
        if missing:
            raise StoreError(f"{path} refers to what is not in the store", details=missing)

    def _expect(self, path: StorePath, manifest: Manifest, recipe: Digest | None) -> None:
        """A recipe that gave a distrusted object must give it again."""
        earlier = self.index.realisation(recipe) if recipe and self._distrusted else None
        if earlier is None or earlier == path or earlier not in self._distrusted:
            return
        try:
            differences = list(islice(self.manifest(earlier)[0].differences(manifest), 5))
        except StoreError:
            differences = []
        raise NotReproducibleError(f"made again, {earlier} has other bytes", details=differences)

    def record_realisation(self, path: StorePath, recipe: Digest) -> None:
        """Record that another recipe gives this registered object too."""
        with lock_file(self.layout.object_lock(str(path))):
            self._realised_again(path, recipe, (), (), None)

    def _realised_again(
        self,
        path: StorePath,
        recipe: Digest | None,
        parts: tuple[bytes, ...],
        inputs: tuple[StorePath, ...],
        seconds: float | None,
    ) -> None:
        """Record what another recipe, part or input tells of an object that is there; often nothing new."""
        info = self.index.info(path)
        assert info is not None
        new_recipe = recipe if recipe and self.index.realisation(recipe) != path else None
        new_parts = [part for part in parts if path not in self.index.holders(part)]
        all_inputs = tuple(sorted({*info.inputs, *inputs}))
        if new_recipe or new_parts or all_inputs != info.inputs:
            self._note(replace(info, inputs=all_inputs), new_recipe, new_parts)
            self.index.realise(new_recipe, path, parts=new_parts, inputs=inputs, seconds=seconds)

    def _note(self, info: ObjectInfo, recipe: Digest | None, parts: Iterable[bytes]) -> None:
        """Add it to the manifest's metadata, from which the index can be made anew. Needs the object's lock."""
        manifest, metadata = read_manifest(self.layout.manifest(info.path))
        recipes = {*metadata.get("recipes", ()), *([str(recipe)] if recipe and recipe != info.recipe else [])}
        keys = {*(bytes.fromhex(key) for key in metadata["parts"]), *parts}
        write_manifest(
            self.layout, info, manifest, sorted(keys), {**metadata, "recipes": sorted(recipes)}, durable=True
        )

    # logs

    def write_log(self, recipe: Digest, lines: Iterable[str]) -> None:
        """Keep how a recipe was built, without logins. A log is not flushed, and replaced by a later build."""
        data = zlib.compress(redact("\n".join(lines)).encode())
        with self.layout.opened(self.layout.logs) as logs:
            logs.write(self.layout.log(recipe).name, data, durable=False)

    def read_log(self, recipe: Digest) -> str | None:
        try:
            with self.layout.opened(self.layout.logs) as logs:
                return zlib.decompress(logs.read(self.layout.log(recipe).name, limit=_LOG_BYTES)).decode()
        except FileNotFoundError:
            return None
