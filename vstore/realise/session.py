"""The tools of one command: store, uv, reporter, clock and caches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, Self

from vstore.cancel import CancelToken
from vstore.digest import Digest
from vstore.lock.model import LockedLayer
from vstore.objects import StorePath
from vstore.remote import substitution
from vstore.reporter import CancellableReporter, Detail, Reporter
from vstore.spec import Spec
from vstore.store import Store, own_uv_cache
from vstore.uv import Uv


class Substituter(Protocol):
    """Fetches the objects of recipes from caches. In a dry run it only finds them."""

    @property
    def has_caches(self) -> bool:
        """Whether there is a cache to ask."""

    @property
    def fetched_bytes(self) -> int:
        """The bytes fetched so far; in a dry run the most that would be."""

    def find(self, recipes: Iterable[Digest]) -> Mapping[Digest, StorePath]:
        """Return the objects that caches have for these recipes, without those that they do not have."""

    def start(self, recipes: Iterable[Digest]) -> None:
        """Start to fetch the objects of these recipes."""

    def result(self, recipe: Digest) -> StorePath | None:
        """Wait for an object that `start` was called for. Return None if it was not, or if that failed."""

    def substitute(self, recipe: Digest) -> StorePath | None:
        """Fetch the object of a recipe. Return None if no cache has it."""


class NullSubstituter:
    """Has no caches."""

    has_caches = False
    fetched_bytes = 0

    def find(self, recipes: Iterable[Digest]) -> Mapping[Digest, StorePath]:
        """Return nothing."""
        return {}

    def start(self, recipes: Iterable[Digest]) -> None:
        """Do nothing."""

    def result(self, recipe: Digest) -> StorePath | None:
        """Return None."""

    substitute = result


@dataclass(frozen=True, kw_only=True)
class Session:
    """A store, uv, a reporter that also cancels, and the caches. `jobs` limits the work at the same time.

    `check_lock` is called with each lock before anything is fetched for it. It raises LockError for one that must not
    be used.
    """

    store: Store
    uv: Uv
    reporter: CancellableReporter
    jobs: int = 1
    substituter: Substituter = field(default_factory=NullSubstituter)
    check_lock: Callable[[LockedLayer], None] | None = None

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        offline: bool = False,
        environment: Mapping[str, str] | None = None,
        jobs: int = 1,
        reporter: Reporter | None = None,
    ) -> Self:
        """Make a session without caches. `environment` has uv's settings, the process's own if None.

        Raises StoreError if uv's cache in the store is a link, or belongs to another user.
        """
        cancel = CancelToken()
        reports = CancellableReporter(reporter, cancel)
        environment = os.environ if environment is None else environment
        cache = own_uv_cache(store.layout)
        return cls(
            store=store,
            uv=Uv(
                cache_dir=cache,
                offline=offline,
                environment=environment,
                cancel=cancel,
                on_call=partial(reports.detail, kind=Detail.CALL),
            ),
            reporter=reports,
            jobs=jobs,
        )

    @property
    def cancel(self) -> CancelToken:
        """The token that ends the work of this session."""
        return self.reporter.cancel

    @contextmanager
    def with_caches(self, caches: Iterable[str] = (), *, offline: bool, dry_run: bool = False) -> Iterator[Self]:
        """Yield the session with these caches and the configured ones, none if `offline`."""
        with substitution(
            self.store, caches, offline=offline, dry_run=dry_run, reporter=self.reporter, cancel=self.cancel
        ) as substituter:
            yield replace(self, substituter=substituter)

    def with_settings_of(self, spec: Spec) -> Self:
        """Return the session with the settings in a spec for access to indexes. Raises UsageError."""
        return replace(self, uv=self.uv.with_access(spec.uv, spec.path.parent))

    def with_user_settings(self) -> Self:
        """Return the session with this user's settings of uv only. Raises UsageError."""
        return replace(self, uv=self.uv.with_access({}, Path()))
