"""`vstore serve`: the local store as a cache on the network."""

from __future__ import annotations

import click

from vstore.api.caches import serve, signing_keys
from vstore.cli.parse import SIZE
from vstore.cli.settings import Settings, command


@command("serve")
@click.option("--host", default="127.0.0.1", help="The address to listen on (default: 127.0.0.1, this machine only).")
@click.option("--port", type=click.IntRange(0, 65535), default=8311, help="The port (default: 8311).")
@click.option("--max-size", type=SIZE, metavar="SIZE", help="Keep no more than SIZE of packed archives (default 10G).")
def serve_command(settings: Settings, host: str, port: int, max_size: int | None) -> None:
    """Offer this store read-only as a cache, until interrupted. Anyone who reaches it can read all of it.

    Archives are packed when they are first asked for, and kept in cache/serve. Beyond --max-size those go that were not
    asked for the longest, as they do with `gc` after 14 days, or with their objects.

    /metrics is in Prometheus' form, /healthz answers ok. --verbose logs each request, up to 50 lines in ten seconds.
    """
    with settings.open_store() as store:
        keys = signing_keys(store.layout.root / "keys")
        if not keys:
            settings.reporter.warn(
                "there is no key here, so nobody will take anything by recipe", "`vstore key generate`"
            )
        log_requests = settings.verbosity > 0
        serve(
            store,
            keys,
            host=host,
            port=port,
            most_bytes=max_size,
            log_requests=log_requests,
            reporter=settings.reporter,
        )
