"""`vstore scheduler` and `vstore worker`: the machines of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command, options
from vstore.cli.paths import FILE, PLACE
from vstore.cli.quantities import AGE, SIZE
from vstore.cli.settings import Settings

if TYPE_CHECKING:
    from vstore.api.workers import TlsFiles

_PORT = 8786


def find_tls_by(**given: Path | None) -> Callable[[Path], TlsFiles | None]:
    """Return the function that finds the TLS files, given the root of the store."""

    def find(root: Path) -> TlsFiles | None:
        from vstore.api.workers import find_tls_files

        files = {name.removeprefix("tls_"): file for name, file in given.items()}
        return find_tls_files(root, files, os.environ)

    return find


TLS_OPTIONS = (
    click.option("--tls-ca", type=FILE, help="The certificates of the cluster's authority, PEM."),
    click.option("--tls-cert", type=FILE, help="The certificate of this machine, PEM."),
    click.option("--tls-key", type=FILE, help="The private key of that certificate, PEM."),
)
tls_options = options("find_tls", find_tls_by, *TLS_OPTIONS)
insecure_option = click.option("--insecure", is_flag=True, help="Allow connections of other machines without TLS.")


@command("scheduler")
@click.option("--host", default="127.0.0.1", help="The address to listen on (default: 127.0.0.1, this machine only).")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=_PORT, help=f"The port; 0 takes a free one (default: {_PORT})."
)
@click.option("--scheduler-file", type=PLACE, help="Write the address to this file, which the other commands take.")
@click.option(
    "--dashboard", default="no", metavar="HOST:PORT|no", help="Serve Dask's web pages there, with bokeh (default: no)."
)
@click.option(
    "--worker-ttl",
    type=AGE,
    default=timedelta(seconds=30),
    help="A worker that does not answer for this time is lost (default: 30s).",
)
@tls_options
@insecure_option
def scheduler_command(
    settings: Settings,
    host: str,
    port: int,
    scheduler_file: Path | None,
    dashboard: str,
    worker_ttl: timedelta,
    find_tls: Callable[[Path], TlsFiles | None],
    insecure: bool,
) -> None:
    """It needs no store and keeps nothing on disk. SIGTERM and Ctrl-C end it.

    Whoever reaches it can run code on the workers: on another address than this machine's own it takes --insecure or
    TLS, by the options, by VSTORE_TLS_CA, VSTORE_TLS_CERT and VSTORE_TLS_KEY, or by `[cluster]` of config.toml.
    """
    from vstore.api.workers import SchedulerOptions, run_scheduler

    root = settings.location()
    chosen = SchedulerOptions(
        host=host,
        port=port,
        file=scheduler_file,
        store=root,
        dashboard=None if dashboard == "no" else dashboard,
        worker_seconds=worker_ttl.total_seconds(),
        tls=find_tls(root),
        insecure=insecure,
        log=settings.verbose > 0,
    )
    run_scheduler(chosen, reporter=settings.reporter)


def _resources(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    """Return the amounts of NAME=NUMBER texts by name."""
    if not given:
        return {}
    from vstore.api.workers import parse_resource

    return dict(map(parse_resource, given))


@command("worker")
@click.argument("scheduler")
@click.option("--name", help="The name of the worker (default: the host and the process).")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Realise this many nodes at a time (default: one per CPU).")
@click.option(
    "--resource",
    "resources",
    multiple=True,
    metavar="NAME=NUMBER",
    callback=_resources,
    help="Offer this much of a resource, such as memory=64.",
)
@click.option("--max-store", type=SIZE, help="After each node collect garbage until the store takes at most this much.")
@click.option(
    "--drain-timeout",
    type=AGE,
    default=timedelta(minutes=10),
    help="When the worker is to end, running nodes have this time (default: 10m).",
)
@tls_options
@insecure_option
def worker_command(
    settings: Settings,
    scheduler: str,
    name: str | None,
    jobs: int | None,
    resources: dict[str, float],
    max_store: int | None,
    drain_timeout: timedelta,
    find_tls: Callable[[Path], TlsFiles | None],
    insecure: bool,
) -> None:
    """SCHEDULER is tcp://HOST:PORT, tls://HOST:PORT, or the file of `vstore scheduler --scheduler-file`.

    The worker builds in its own store, takes logins of caches, trusted keys and TLS files from its own config.toml, and
    signs with its own keys, of which it needs one. It first checks disk, uv, keys, scheduler and clock, and does not
    join if one is unfit. SIGTERM and Ctrl-C let running nodes end; the second one ends it at once.
    """
    from vstore.api.workers import SchedulerAddress, WorkerOptions, run_worker

    root = settings.location()
    chosen = WorkerOptions(
        scheduler=SchedulerAddress.of(scheduler),
        name=name,
        jobs=jobs,
        resources=resources,
        max_store_bytes=max_store,
        drain_seconds=drain_timeout.total_seconds(),
        tls=find_tls(root),
        insecure=insecure,
        log=settings.verbose > 1,
    )
    run_worker(root, chosen, reporter=settings.reporter)
