"""Room for what is about to be built: garbage goes by itself when the disk fills, as ``config.toml`` says.

With ``[gc] min_free`` a build first looks whether that much is free, and if not collects until ``max_free`` is. What
the run has named is alive, and so are the donors it may link from. A collection that did not help is not tried again.
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
from vstore.reporter import NullReporter, Reporter
from vstore.store import Store

_LEAST_BYTES = 4 << 20  # below it not even the index can be relied on


class DiskGuard:
    """Watches over the free space during one run; `ensure` may be called from several threads."""

    def __init__(self, store: Store, reporter: Reporter) -> None:
        self._store = store
        self._reporter = reporter
        self._lock = threading.Lock()
        self._in_vain = False
        self._held = ExitStack()
        self._holds = False

    def close(self) -> None:
        """Let others clean uv's cache again."""
        self._held.close()

    def hold_cache(self) -> None:
        """Let nobody take wheels out of uv's cache from now on: this run may need them."""
        with self._lock:
            if not self._holds:
                self._held.enter_context(lock_file(self._store.layout.locks.uv_cache, shared=True))
                self._holds = True

    def ensure(self, recipe: LayerRecipe) -> None:
        """Collect if less than the floor is free. StoreError where there is no point in starting a build."""
        limits = self._store.config.gc
        with self._lock:
            if limits.min_free is not None and not self._in_vain and self._free() < limits.min_free:
                for wheel in recipe.wheels:
                    self._store.objects_with_wheel(recipe.part(wheel))
                self._collect(limits.min_free, max(limits.max_free or 0, limits.min_free))
            if (free := self._free()) < _LEAST_BYTES:
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
        self._in_vain = free < floor
        said = f"less than {_gib(floor)} were free: collected {len(done.deleted)} objects, now {_gib(free)} are"
        hint = None
        if self._in_vain:
            hint = "`vstore gc --cache-unshared-for 0s` may free more, `vstore roots` shows what is kept"
        self._reporter.warn(said, hint)

    def _free(self) -> int:
        return free_bytes(self._store.layout.root)


def _gib(number: int) -> str:
    return f"{number / (1 << 30):.2f} GiB"
