"""Checks whether a machine is fit to be a worker. One that is not says so, and takes no work."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from vstore.cluster.dask_settings import CONNECT_SECONDS
from vstore.errors import ClusterError, StoreError, UsageError
from vstore.fs.disk import free_bytes
from vstore.realise.session import Session
from vstore.remote import SecretKey, signing_keys
from vstore.sizes import size
from vstore.store import Store
from vstore.target import Target

if TYPE_CHECKING:
    from distributed import Security

MIN_FREE_BYTES = 256 << 20
MAX_CLOCK_SECONDS = 60.0  # away from the scheduler's clock


def check_machine(store: Store) -> Sequence[SecretKey]:
    """Return the keys of a worker with this store.

    Raises UsageError without a key or on an unsupported machine, StoreError if the store cannot be written to or its
    disk is nearly full, and ToolError if uv does not run.
    """
    Target.host()
    keys = signing_keys(store.layout.keys)
    if not keys:
        raise UsageError(
            f"the store at {store.layout.root} has no key, and a worker signs what it pushes",
            hint="`vstore key generate NAME` makes one; the clients and the other workers must trust it",
        )
    least, free = max(MIN_FREE_BYTES, store.config.gc.min_free or 0), free_bytes(store.layout.root)
    if free < least:
        raise StoreError(
            f"{size(free)} are free at {store.layout.root}, and a worker needs {size(least)}",
            hint="`vstore gc` frees space in the store; `gc.min_free` of config.toml raises the limit",
        )
    try:
        with store.staging("self-check") as folder:
            (folder / "file").write_bytes(b"x")
    except OSError as error:
        raise StoreError(f"{store.layout.root} cannot be written to: {error.strerror}") from error
    Session.open(store).uv.run(["--version"], timeout_seconds=CONNECT_SECONDS, doing="checking uv")
    return keys


async def check_scheduler(url: str, security: Security | None) -> None:
    """Raise ClusterError if no scheduler answers, or if its clock and that of this machine differ."""
    from distributed.core import rpc

    arguments = security.get_connection_args("worker") if security else {}  # type: ignore[no-untyped-call]
    scheduler = rpc(url, connection_args=arguments, timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]
    try:
        started = time.time()
        answer = await asyncio.wait_for(scheduler.run_function(function=pickle.dumps(time.time)), CONNECT_SECONDS)
        offset = (started + time.time()) / 2 - answer["result"]
    except (OSError, TimeoutError) as error:
        reason = str(error).partition("\n")[0] or f"no answer within {CONNECT_SECONDS:g} s"
        raise ClusterError(
            f"no scheduler answers at {url}: {reason}",
            hint="`vstore scheduler` starts one; docs/workers.md tells about TLS",
        ) from error
    finally:
        with suppress(OSError):
            await scheduler.close_rpc()  # type: ignore[no-untyped-call]
    if abs(offset) > MAX_CLOCK_SECONDS:
        way = "ahead of" if offset > 0 else "behind"
        raise ClusterError(
            f"the clock of this machine is {abs(offset):.0f} s {way} that of the scheduler",
            hint="set the clocks of both, for instance by NTP",
        )
