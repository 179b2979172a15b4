"""The scheduler of a cluster: that of Dask, with settings for tasks that take minutes and workers that may be lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from vstore.cluster.address import SchedulerAddress, is_loopback
from vstore.cluster.dask_settings import configure_dask
from vstore.cluster.security import TlsFiles, security_for
from vstore.digest import parse_json
from vstore.documents import Fields
from vstore.errors import BusyError, UsageError
from vstore.fs.descriptors import raise_descriptor_limit
from vstore.fs.place import claim, put_bytes
from vstore.fs.reading import read_regular
from vstore.reporter import Reporter
from vstore.values import frozen

PORT = 8786
_DESCRIPTORS = 1 << 16  # at most; a worker takes three
_FILE_TYPE = "vstore scheduler"
_MAX_BYTES = 1 << 16


@frozen
class SchedulerOptions:
    """The options of a scheduler.

    It listens on `host` and `port`, 0 for a free one, with TLS if there are `tls` files, and writes its address to
    `file`, which stays, and must not lie in `store`, the root of a store. `dashboard` is ``HOST:PORT`` of Dask's web
    pages, None for none. A worker that does not answer for `worker_seconds` counts as lost. `insecure` allows
    connections from other machines without TLS.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    file: Path | None = None
    store: Path | None = None
    dashboard: str | None = None
    worker_seconds: float = 30.0
    tls: TlsFiles | None = None
    insecure: bool = False
    log: bool = False


def run_scheduler(options: SchedulerOptions, reporter: Reporter) -> None:
    """Run a scheduler until this process gets SIGTERM or SIGINT.

    Raises UsageError for an address that needs TLS or a file that is not its own, and BusyError if the port is in use.
    """
    protocol = "tls" if options.tls else "tcp"
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = SchedulerAddress(url=f"{protocol}://{host}:{options.port}")
    security = security_for(address, options.tls, insecure=options.insecure)
    _check_dashboard(options)
    file = claim(options.file, _is_scheduler_file, store=options.store) if options.file else None
    configure_dask(log=options.log)
    raise_descriptor_limit(_DESCRIPTORS)
    from distributed import Scheduler

    async def run() -> None:
        ended = _end_signal()
        scheduler = Scheduler(
            host=options.host,
            port=options.port,
            protocol=protocol,
            security=security,
            worker_ttl=options.worker_seconds,
            dashboard=options.dashboard is not None,
            dashboard_address=options.dashboard or "127.0.0.1:0",
        )
        try:
            async with scheduler:
                pages = f", dashboard at http://{options.dashboard}/status" if options.dashboard else ""
                if file is not None:
                    document = {"type": _FILE_TYPE, "address": scheduler.address}
                    put_bytes(json.dumps(document).encode() + b"\n", file)
                reporter.note(f"scheduler at {scheduler.address}{pages}")
                await ended.wait()
        except RuntimeError as error:
            raise _start_error(error, address) from error

    asyncio.run(run())


def _is_scheduler_file(path: Path, _: os.stat_result) -> bool:
    """Return whether a scheduler wrote a file."""
    try:
        return Fields(parse_json(read_regular(path, limit=_MAX_BYTES))).optional_text("type") == _FILE_TYPE
    except (OSError, ValueError):
        return False


def _check_dashboard(options: SchedulerOptions) -> None:
    if options.dashboard is None:
        return
    host, _, port = options.dashboard.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"not the address of a dashboard: {options.dashboard}", hint="write HOST:PORT")
    if not is_loopback(host) and not options.insecure:
        raise UsageError(
            f"the dashboard at {options.dashboard} is for everybody who reaches it",
            hint="use 127.0.0.1 and a tunnel, or --insecure",
        )
    if find_spec("bokeh") is None:
        raise UsageError("dashboards need a package that is not installed: bokeh", hint="install it beside vstore")


def _end_signal() -> asyncio.Event:
    """Return the event of a SIGTERM or SIGINT from now on."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # on Windows
            loop.add_signal_handler(number, ended.set)
    return ended


def _start_error(error: BaseException, address: SchedulerAddress) -> Exception:
    """Return the error of a scheduler that could not start."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return BusyError(f"cannot listen on {address.url}: {cause.strerror or cause}", hint="choose another --port")
        cause = cause.__cause__
    return UsageError(f"the scheduler did not start: {error}")
