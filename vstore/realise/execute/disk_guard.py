"""Free space for builds: garbage is collected automatically when the disk fills, as set in ``config.toml``.

If less than ``[gc] min_free`` is free before a build, garbage is collected until ``max_free`` is. Objects that this run
uses, and those it may link wheels from, are live. After a collection that did not free enough, none is tried again.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import UTC, datetime

from vstore import gc
from vstore.build.recipe import LayerRecipe
from vstore.errors import StoreError
from vstore.fs.disk import free_bytes
from vstore.fs.locking.filelock import lock_file
from vstore.plural import count
from vstore.reporter import NullReporter, Reporter
from vstore.store import Store

_MIN_BYTES = 4 << 20  # with less, writing the index may fail


class DiskGuard:
    """Ensures free space during one run. Its methods are called from several threads."""

    def __init__(self, store: Store, reporter: Reporter) -> None:
        self._store = store
        self._reporter = reporter
        self._lock = threading.Lock()
        self._did_not_help = False
        self._held = ExitStack()
        self._is_held = False

    def close(self) -> None:
        """Release uv's cache for cleaning by others."""
        self._held.close()

    def hold_cache(self) -> None:
        """Prevent others from removing wheels from uv's cache until `close`."""
        with self._lock:
            if not self._is_held:
                self._held.enter_context(lock_file(self._store.layout.locks.uv_cache, shared=True))
                self._is_held = True

    def ensure(self, recipe: LayerRecipe) -> None:
        """Collect garbage if less than ``min_free`` is free. Raises StoreError if the disk is too full to build."""
        limits = self._store.config.gc
        with self._lock:
            if limits.min_free is not None and not self._did_not_help and self._free() < limits.min_free:
                for wheel in recipe.wheels:
                    self._store.objects_with_wheel(recipe.wheel_key(wheel))
                self._collect(limits.min_free, max(limits.max_free or 0, limits.min_free))
            if (free := self._free()) < _MIN_BYTES:
                raise StoreError(
                    f"no space left to build {recipe.name}: {free >> 20} MiB are free",
                    hint="run `vstore gc --cache-unshared-for 0s`, or free space elsewhere",
                )

    def _collect(self, floor: int, goal: int) -> None:
        limits = self._store.config.gc
        now = datetime.now(UTC)
        policy = gc.CollectionPolicy(
            fresh_since=now - limits.grace if limits.grace is not None else None,
            until_free=goal,
            max_freed=limits.max_freed,
        )
        done = gc.collect_garbage(self._store, policy, reporter=NullReporter())
        free = self._free()
        self._did_not_help = free < floor
        collected = count(len(done.deleted), "object")
        text = f"less than {_gib(floor)} were free: collected {collected}, now {_gib(free)} are free"
        hint = None
        if self._did_not_help:
            hint = "`vstore gc --cache-unshared-for 0s` may free more; `vstore roots` lists the roots"
        self._reporter.warn(text, hint)

    def _free(self) -> int:
        return free_bytes(self._store.layout.root)


def _gib(number: int) -> str:
    return f"{number / (1 << 30):.2f} GiB"
