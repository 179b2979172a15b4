"""`report`: a page about the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.paths import parse_place
from vstore.cli.settings import Settings
from vstore.plural import count
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.cli.documents.stores import ReportDocument


@command("report")
@click.option(
    "-o", "--output", default="vstore-report.html", show_default=True, metavar="FILE", help="Where to write the page."
)
def report_command(settings: Settings, output: str) -> None:
    """The page shows what takes space, the generations of each profile, what refers to what, what each root keeps, what
    `vstore gc` would delete and why the rest stays, caches, and the findings of `vstore doctor`. It loads nothing and
    runs no script. Every picture has a table with the same numbers.
    """
    from vstore.api.reports import write_report

    file = parse_place(output)
    with settings.open_store(for_collection=True) as store:
        content = write_report(store, file, reporter=settings.reporter)
    document: ReportDocument = {
        "file": str(file),
        "objects": len(content.objects),
        "profiles": len(content.profiles),
        "store_bytes": content.store_bytes,
        "freed_bytes": content.plan.freed_bytes,
        "findings": len(content.findings),
    }
    settings.emit(
        document, lambda: f"{file}: {count(len(content.objects), 'object')}, {size(content.store_bytes)} on the disk"
    )
