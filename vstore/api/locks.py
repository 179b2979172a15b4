"""Locks: whether they are valid, what happens with which layer, and making them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from vstore.api.stores import uv_of
from vstore.lock import LockedLayer, LockOptions, deployed_name, read_locks
from vstore.lock.select import gaps
from vstore.lock.staleness import check
from vstore.realise.interpreters import Interpreters
from vstore.realise.prepare import lock_spec, stale_error, wish_of
from vstore.realise.session import Session
from vstore.reporter import NullReporter, Reporter
from vstore.spec import Spec
from vstore.spec.select import Operation, Selection, SelectionRequest, select
from vstore.store import Store
from vstore.target import Target

__all__ = [
    "LockOptions",
    "LockedLayer",
    "Operation",
    "Selection",
    "SelectionRequest",
    "check",
    "deployed_name",
    "gaps",
    "lock",
    "read_locks",
    "select",
    "stale_error",
    "wish_of",
]


def lock(
    store: Store,
    spec: Spec,
    selection: Selection | None = None,
    wish: LockOptions | None = None,
    *,
    offline: bool = False,
    environment: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
) -> Mapping[str, LockedLayer]:
    """Lock the selected layers (all whose locks are not valid, unless told) together; the locks by env name.

    Raises LockError, ToolError or StoreError. `environment` is where uv's settings are read, the process' own if None.
    """
    uv = uv_of(store, offline=offline, environment=environment).reaching(spec.uv, spec.path.parent)
    session = Session(store=store, uv=uv, reporter=reporter or NullReporter(), now=datetime.now(UTC))
    wish = replace(wish or LockOptions(), target=Target.host())
    selected = selection or select(spec, SelectionRequest(lock=Operation.LOCK_IF_NEEDED), Target.host())
    return lock_spec(session, spec, selected, wish, Interpreters(session, offline=offline))
