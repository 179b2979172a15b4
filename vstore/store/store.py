"""The store: adding complete objects, finding them, keeping them alive while they are used."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from vstore.digest import Digest
from vstore.errors import StoreError
from vstore.fs.atomic import flush_filesystem, fsync_directory, remove_tree, write_file
from vstore.fs.filelock import lock_file
from vstore.fs.tree import Manifest, freeze_directory, scan
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.store.index import Index
from vstore.store.layout import Layout
from vstore.store.manifests import read_manifest, write_manifest
from vstore.store.roots import TempRoots


class Store:
    """One open store. Safe for several threads of one process and for several processes."""

    def __init__(self, layout: Layout, index: Index) -> None:
        self.layout = layout
        self.index = index
        self._temp = TempRoots(layout)
        self._adding = threading.Lock()

    @classmethod
    def open(cls, root: Path, *, read_only: bool = False) -> Self:
        """Open the store at `root`, making it unless read-only.

        Raises StoreError when there is none to read, when it is damaged or of a newer release, and OSError.
        """
        layout = Layout(root)
        if read_only and not layout.index_file.exists():
            if layout.store.is_dir() and any(layout.store.iterdir()):
                raise StoreError(f"the index is missing: {layout.index_file}", hint="run `vstore reindex`")
            raise StoreError(f"there is no store at {root}", hint="`vstore realise SPEC` makes one; or give --root")
        if not read_only:
            layout.create()
            if not layout.index_file.exists() and any(layout.store.iterdir()):
                raise StoreError(f"the index is missing: {layout.index_file}", hint="run `vstore reindex`")
        return cls(layout, Index(layout.index_file, read_only=read_only))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._temp.close()
        self.index.close()

    # using what is there

    def temp_root(self, *paths: StorePath) -> None:
        """Keep these objects alive until the store is closed. Ask whether they are valid only afterwards."""
        self._temp.add(paths)

    def is_valid(self, path: StorePath) -> bool:
        return self.index.is_valid(path)

    def realisation(self, recipe: Digest) -> StorePath | None:
        """The object that this recipe gave, kept alive from now on; None if there is none."""
        return self._kept(self.index.realisation(recipe))

    def remembered(self, key: bytes) -> StorePath | None:
        """The object that answers a question asked before, kept alive from now on."""
        return self._kept(self.index.memo(key))

    def holders(self, part: bytes) -> list[StorePath]:
        """The objects that hold a part, newest first, kept alive from now on."""
        return [path for path in self.index.holders(part) if self._kept(path)]

    def _kept(self, path: StorePath | None) -> StorePath | None:
        if path is None:
            return None
        self._temp.add((path,))
        return path if self.index.is_valid(path) else None

    def manifest(self, path: StorePath) -> tuple[Manifest, dict[str, object]]:
        """The object's tree manifest and its metadata."""
        return read_manifest(self.layout.manifest(path))

    def resolve(self, text: str) -> StorePath:
        """The one object that a store path, the start of a digest, or a layer's name stands for."""
        found = self.index.find(text.rstrip("/").rpartition("/")[2]) if text else []
        if len(found) == 1:
            return found[0]
        exact = [path for path in found if str(path) == text]
        if exact:
            return exact[0]
        if not found:
            raise StoreError(f"no object in the store is called {text!r}", hint="`vstore list` shows them")
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
        """A folder to build in, locked while it is ours; removed at the end unless a failure is to be kept."""
        folder = self.layout.tmp / f"{name}-{secrets.token_hex(6)}"
        lock = folder.with_name(folder.name + ".lock")
        with ExitStack() as held:
            with lock_file(self.layout.gc_lock, shared=True):  # so that no collector sees the lock before it is held
                held.enter_context(lock_file(lock))
            folder.mkdir()
            try:
                yield folder
            except Exception as error:
                if keep_failed:
                    kept = self.layout.root / "failed" / folder.name
                    kept.parent.mkdir(exist_ok=True)
                    shutil.move(folder, kept)
                    error.add_note(f"kept: {kept}")
                raise
            finally:
                remove_tree(folder)
                lock.unlink(missing_ok=True)

    @contextmanager
    def recipe_lock(self, recipe: Digest) -> Iterator[None]:
        """Held while a recipe is built, so that others wait and then find it."""
        with lock_file(self.layout.locks / f"recipe-{recipe.short}"):
            yield

    def add(
        self,
        staged: Path,
        *,
        name: str,
        kind: Kind,
        recipe: Digest | None = None,
        parts: Iterable[bytes] = (),
        seconds: float | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> ObjectInfo:
        """Turn a staged tree into a registered object; what is there already costs no write to it.

        Order: hash and freeze, name it in a temp root, flush the contents, move into place, manifest, row.
        Raises StoreError if it refers to what is not valid, or cannot be in a store.
        """
        manifest = scan(staged, freeze=True)
        path = StorePath.make(manifest.digest, name)
        parts = tuple(parts)
        self.temp_root(path)
        with self._adding, lock_file(self.layout.locks / f"object-{path.short[:2]}"):
            known = self.index.info(path)
            if known is not None:
                if recipe is not None:
                    self.index.realise(recipe, path, parts=parts, seconds=seconds)
                return known
            info = ObjectInfo(
                path=path,
                digest=manifest.digest,
                kind=kind,
                size_bytes=manifest.size_bytes,
                files=manifest.files,
                references=tuple(sorted(manifest.references(path))),
                recipe=recipe,
                registered_at=datetime.now(UTC).replace(microsecond=0),
            )
            self.temp_root(*info.references)
            missing = [str(reference) for reference in info.references if not self.is_valid(reference)]
            if missing:
                raise StoreError(f"{path} refers to what is not in the store", details=missing)
            write_manifest(self.layout.manifest(path), info, manifest, parts, metadata or {})
            flush_filesystem(self.layout.store)
            self._move_into_place(staged, path)
            self.index.register(info, parts=parts, seconds=seconds)
            return info

    def _move_into_place(self, staged: Path, path: StorePath) -> None:
        final = self.layout.object(path)
        if os.path.lexists(final):  # litter: there is no row, and we hold the temp root and the lock
            aside = self.layout.trash / f"{path}-{secrets.token_hex(4)}"
            if final.is_dir() and not final.is_symlink():
                final.chmod(0o755)
            final.rename(aside)
        os.rename(staged, final)
        freeze_directory(final)
        fsync_directory(self.layout.store)

    # logs

    def write_log(self, recipe: Digest, lines: Iterable[str]) -> None:
        """Keep how a recipe was built. A log is a convenience: not flushed, replaced by a later build."""
        data = zlib.compress("\n".join(lines).encode())
        write_file(self.layout.logs / f"{recipe.short}.log.z", data, durable=False)

    def read_log(self, recipe: Digest) -> str | None:
        try:
            return zlib.decompress((self.layout.logs / f"{recipe.short}.log.z").read_bytes()).decode()
        except FileNotFoundError:
            return None
