"""`sbom`: the parts of an object as a CycloneDX or SPDX document."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.paths import PLACE
from vstore.cli.settings import Settings
from vstore.errors import UsageError
from vstore.sizes import size

if TYPE_CHECKING:
    from pathlib import Path

    from vstore.api.sboms import Sbom, SbomOptions

_EPOCH = "SOURCE_DATE_EPOCH"


@command("sbom")
@click.argument("what")
@click.option(
    "--format",
    "form",
    type=click.Choice(["cyclonedx", "spdx"]),
    default="cyclonedx",
    help="CycloneDX 1.6 or SPDX 2.3 (default: cyclonedx).",
)
@click.option("-o", "--output", type=PLACE, metavar="FILE", help="The file to write (default: standard output).")
@click.option("--files", "all_files", is_flag=True, help="List every file with its digests, not only shared libraries.")
@click.option(
    "--from",
    "cache",
    metavar="CACHE",
    help="Fetch the SBOM that `vstore push --sbom` attached in CACHE; WHAT is a store path or a channel there.",
)
@click.option("--trust", "trusted", multiple=True, metavar="KEY", help="With --from, also trust this public key.")
def sbom_command(
    settings: Settings,
    what: str,
    form: str,
    output: Path | None,
    all_files: bool,
    cache: str | None,
    trusted: tuple[str, ...],
) -> None:
    """The SBOM has WHAT and everything that it refers to: interpreters, layers, distributions, modules, shared
    libraries, and the components of the SBOMs in wheels.

    The same objects give the same bytes. The time of creation in it is that of SOURCE_DATE_EPOCH, or else a fixed one.
    With --json the SBOM is printed, also if a file is written.

    An SBOM of a cache is taken only if enough trusted keys have signed it; the objects are not fetched.
    """
    from vstore.api.caches import open_cache
    from vstore.api.sboms import SbomFormat, SbomOptions, fetch_sbom, place_sbom, sbom_maker
    from vstore.api.stores import resolve_what

    if cache is None and trusted:
        raise UsageError("--trust is for the SBOMs of a cache", hint="give --from CACHE")
    if cache is not None and all_files:
        raise UsageError("--files does not change the SBOM of a cache", hint="leave out --files or --from")
    options = dated(SbomOptions(format=SbomFormat(form), all_files=all_files))
    with settings.open_store(read_only=cache is None, create=cache is not None) as store:

        def make() -> Sbom:
            if cache is None:
                return sbom_maker(store, options, reporter=settings.reporter)(resolve_what(store, what).path)
            opened = open_cache(store, cache, reporter=settings.reporter)
            return fetch_sbom(store, opened, what, options.format, trusted_keys=trusted)

        sbom = make() if output is None else place_sbom(store, output, make)
    settings.close()
    if settings.json or output is None:  # also with --quiet: other programs read it
        click.echo(sbom.data.decode(), nl=False)
    elif not settings.quiet:
        settings.echo(f"wrote the SBOM of {sbom.path}, {size(len(sbom.data))}: {output}")


def dated(options: SbomOptions) -> SbomOptions:
    """Return the options with the time of SOURCE_DATE_EPOCH (reproducible-builds.org), if that is set.

    Raises UsageError if it is no number of seconds.
    """
    from datetime import UTC, datetime

    from vstore.values import replace

    text = os.environ.get(_EPOCH)
    if not text:
        return options
    try:
        return replace(options, created_at=datetime.fromtimestamp(int(text), UTC))
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{_EPOCH} is no number of seconds since 1970: {text}", hint=f"unset {_EPOCH}") from None
