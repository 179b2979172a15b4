"""Realising: from a spec to a stack in the store, and what a stack holds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vstore.api.stores import uv_of
from vstore.objects import StorePath
from vstore.realise.model import Origin, Realised, RealisedLayer, Request
from vstore.realise.noop import cached_stack
from vstore.reporter import NullReporter, Reporter
from vstore.store import Store
from vstore.values import replace

if TYPE_CHECKING:
    from vstore.build.clashes import Clash

__all__ = [
    "Origin",
    "Realised",
    "RealisedLayer",
    "Request",
    "clashes_of",
    "describe_clashes",
    "distributions",
    "realise",
]


def realise(
    store: Store, request: Request, *, reporter: Reporter | None = None, now: datetime | None = None
) -> Realised:
    """Lock if needed, make every layer present, from a cache or by building, and switch the profile to the stack.

    A no-op is answered before anything that builds is even loaded.
    Raises SpecError, LockError, BuildError, ToolError or StoreError; the store is intact after any of them.
    """
    reporter, now = reporter or NullReporter(), now or datetime.now(UTC)
    known = cached_stack(store, request, reporter=reporter, now=now)
    if known is not None:
        return known
    from vstore.cancel import CancelToken
    from vstore.realise.realise import realise
    from vstore.realise.session import Session
    from vstore.remote import substitution

    cancel = CancelToken()
    uv = uv_of(store, offline=request.offline, environment=request.environment)
    offline = request.offline or request.check
    with substitution(
        store, request.caches, offline=offline, dry=request.dry_run, reporter=reporter, cancel=cancel
    ) as substituter:
        session = Session(
            store=store, uv=uv, reporter=reporter, now=now, jobs=request.jobs, substitutes=substituter, cancel=cancel
        )
        found = realise(session, request)
        return replace(found, moved_bytes=substituter.pulled().moved_bytes)


def distributions(store: Store, stack: StorePath) -> dict[str, dict[str, str]]:
    """Layer name → distribution name → version, the interpreters as ``python``."""
    from vstore.realise.contents import distributions

    return distributions(store, stack)


def clashes_of(store: Store, path: StorePath) -> tuple[Clash, ...]:
    """Return the paths for which distributions of a layer, or of the layers below it, have different files.

    Empty for an object that is no layer. Raises StoreError if the layer is damaged.
    """
    from vstore.build.layer_metadata import FACTS, read_facts

    folder = store.layout.object(path)
    return read_facts(folder).clashes if (folder / FACTS).exists() else ()


def describe_clashes(clashes: Iterable[Clash]) -> list[str]:
    """Return a line for each pair of distributions that clash, with the number of files and the first of them."""
    from vstore.build.clashes import describe_clashes

    return describe_clashes(clashes)
