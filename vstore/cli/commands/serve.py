"""`vstore serve`: the local store as a cache on the network."""

from __future__ import annotations

import click

from vstore.cli.command import command
from vstore.cli.quantities import SIZE
from vstore.cli.settings import Settings


@command("serve")
@click.option("--host", default="127.0.0.1", help="The address to listen on (default: 127.0.0.1, this machine only).")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8311, help="The port; 0 takes a free one (default: 8311)."
)
@click.option("--max-size", type=SIZE, metavar="SIZE", help="Keep no more than SIZE of packed archives (default: 10G).")
def serve_command(settings: Settings, host: str, port: int, max_size: int | None) -> None:
    """The store is read-only for clients. There is no access control: everyone who reaches the port can read all of it.

    Archives are packed when a client first asks for them, and kept in `cache/serve`. Beyond --max-size the longest
    unused are deleted; `gc` deletes those unused for 14 days, and those of deleted objects.

    /metrics has counters in the format of Prometheus, /healthz answers ok. --verbose logs requests, at most 50 lines in
    ten seconds.
    """
    from vstore.api.caches import serve

    with settings.open_store() as store:
        log, reporter = settings.verbose > 0, settings.reporter
        serve(store, host=host, port=port, max_bytes=max_size, log_requests=log, reporter=reporter)
