"""`du`: the disk space of objects and packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.listing import Order, sort_options
from vstore.cli.settings import Settings
from vstore.cli.text import table
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.usage import Usage
    from vstore.cli.documents.stores import DiskUsageDocument, UsageDocument

_SORTS = {
    "disk": "disk_bytes",
    "exclusive": "exclusive_bytes",
    "shared": "shared_bytes",
    "size": "size_bytes",
    "files": "files",
    "package": "package",
    "path": "path",
}


@command("du")
@click.argument("what", required=False)
@click.option(
    "--by", type=click.Choice(["object", "package"]), help="Rows to show (default: package with WHAT, else object)."
)
@sort_options(_SORTS)
def du_command(settings: Settings, what: str | None, by: str | None, order: Order) -> None:
    """Without WHAT, show all objects of the store; with it, the packages of WHAT and of all that it refers to.

    Exclusive bytes become free when this one thing goes. Shared bytes have names elsewhere too: in other objects, in
    uv's cache or outside of the store. The largest come first.
    """
    from vstore.api.stores import closure, resolve_what
    from vstore.api.usage import disk_usage

    by_package = by == "package" if by else what is not None
    with settings.open_store(read_only=True) as store:
        infos = closure(store, resolve_what(store, what).path) if what else store.objects.all()
        paths = [info.path for info in infos]
        whole = disk_usage(store, paths, by_package=by_package, reporter=settings.reporter)
    found = [usage for one in whole.objects for usage in one.packages or (one.whole,)]
    found.sort(key=lambda one: (-one.disk_bytes, one.path, one.package or ""))
    documents = order.of(_document(one) for one in found)
    document: DiskUsageDocument = {
        "items": documents,
        "disk_bytes": whole.disk_bytes,
        "exclusive_bytes": whole.exclusive_bytes,
    }

    def text() -> str:
        if not documents:
            return "the store is empty"
        columns = {"disk": "on disk", "exclusive": "exclusive", "shared": "shared", "files": "files"}
        if any(one["package"] for one in documents):
            columns |= {"package": "package", "version": "version"}
        rows = [
            {
                **one,
                "disk": size(one["disk_bytes"]),
                "exclusive": size(one["exclusive_bytes"]),
                "shared": size(one["shared_bytes"]),
            }
            for one in documents
        ]
        summary = f"together {size(whole.disk_bytes)} on disk, {size(whole.exclusive_bytes)} of it exclusive"
        return f"{table(rows, {**columns, 'path': 'path'})}\n{summary}"

    settings.emit(document, text)


def _document(one: Usage) -> UsageDocument:
    return {
        "path": str(one.path),
        "package": one.package,
        "version": one.version,
        "files": one.files,
        "size_bytes": one.size_bytes,
        "disk_bytes": one.disk_bytes,
        "exclusive_bytes": one.exclusive_bytes,
        "shared_bytes": one.disk_bytes - one.exclusive_bytes,
    }
