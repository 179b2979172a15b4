"""`vstore serve`: the local store as a cache on the network."""

from __future__ import annotations

import click

from vstore.cli.command import command
from vstore.cli.settings import Settings


@command("serve")
@click.option("--host", default="127.0.0.1", help="The address to listen on (default: 127.0.0.1, this machine only).")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8311, help="The port; 0 takes a free one (default: 8311)."
)
def serve_command(settings: Settings, host: str, port: int) -> None:
    """The store is read-only for clients. There is no access control: everyone who reaches the port can read all of it.

    Archives are packed when a client first asks for them, and kept in `cache/archives` up to `archives.max_size` of
    config.toml, those used last. `gc` deletes those unused for 14 days, and those of deleted objects.

    /metrics has counters in the format of Prometheus, /healthz answers ok. --verbose logs requests, at most 50 lines in
    ten seconds.
    """
    from vstore.api.caches import serve

    with settings.open_store() as store:
        log, reporter = settings.verbose > 0, settings.reporter
        serve(store, host=host, port=port, log_requests=log, reporter=reporter)
