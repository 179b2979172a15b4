"""`vstore serve`: the local store as a cache on the network."""

from __future__ import annotations

import click

from vstore.api.caches import serve, signing_keys
from vstore.cli.settings import Settings, command


@command("serve")
@click.option("--host", default="127.0.0.1", help="The address to listen on (default: 127.0.0.1, this machine only).")
@click.option("--port", type=click.IntRange(0, 65535), default=8311, help="The port (default: 8311).")
def serve_command(settings: Settings, host: str, port: int) -> None:
    """Offer this store read-only as a cache, until interrupted. Anyone who reaches it can read all of it.

    /metrics is in Prometheus' form, /healthz answers ok. --verbose logs each request, up to 50 lines in ten seconds.
    """
    with settings.open_store() as store:
        keys = signing_keys(store.layout.root / "keys")
        if not keys:
            settings.report.warn(
                "there is no key here, so nobody will take anything by recipe", "`vstore key generate`"
            )
        log_requests = settings.verbosity > 0
        serve(store, keys, host=host, port=port, log_requests=log_requests, report=settings.report)
