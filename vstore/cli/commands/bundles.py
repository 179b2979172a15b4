"""`vstore pack` and `vstore unpack`: bundles for machines without a network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command, options
from vstore.cli.commands.publish import compression_level, output_document
from vstore.cli.options import dry_run_option, jobs_option
from vstore.cli.paths import FILE, PLACE
from vstore.cli.settings import Settings
from vstore.cli.text import table
from vstore.plural import count
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.publishing import BundleOptions, OutputPlan
    from vstore.cli.documents.publishing import PackDocument, UnpackDocument


def _bundle_options(level: int | None, best: bool, **given: object) -> Callable[..., BundleOptions]:
    from vstore.api.publishing import Compression, bundle_options

    return partial(bundle_options, level=compression_level(Compression.ZST, level, best), **given)  # type: ignore[arg-type]


@command("pack")
@click.argument("what", nargs=-1, required=True)
@click.option("-o", "--output", type=PLACE, required=True, metavar="FILE", help="The bundle to write.")
@options(
    "bundle",
    _bundle_options,
    click.option("--closure/--no-closure", default=True, help="Pack everything that WHAT refers to (default: yes)."),
    click.option("--without", multiple=True, metavar="WHAT", help="Leave out this object and everything it refers to."),
    click.option(
        "--key", "key_files", multiple=True, type=FILE, help="Sign with this secret key (default: the store's keys)."
    ),
    click.option("--level", type=click.IntRange(1, 22), help="The compression level (default: 3)."),
    click.option("--best", is_flag=True, help="Make the smallest bundle; this takes much longer."),
)
@jobs_option
@dry_run_option
def pack_command(
    settings: Settings,
    what: tuple[str, ...],
    output: Path,
    bundle: Callable[..., BundleOptions],
    jobs: int | None,
    dry_run: bool,
) -> None:
    """`vstore unpack` adds the objects to another store."""
    from vstore.api.publishing import BundleOutput, write_bundle
    from vstore.api.stores import resolve_what

    with settings.open_source() as store:
        tops = [resolve_what(store, text, keep=True).path for text in what]
        place = BundleOutput(store=store, file=output, options=bundle(store))
        plan = write_bundle(store, tops, place, jobs=jobs, dry_run=dry_run, reporter=settings.reporter)
    document: PackDocument = {
        **output_document(plan, dry_run),
        "file": str(output),
        "requested": [str(path) for path in tops],
        "size_bytes": None if dry_run else output.stat().st_size,
    }
    settings.emit(document, lambda: _pack_text(plan, output, dry_run))


def _pack_text(plan: OutputPlan, output: Path, dry_run: bool) -> str:
    if not dry_run:
        return f"packed {count(len(plan.items), 'object')}, {size(output.stat().st_size)}: {output}"
    rows = [{"object": item.name, "size": size(item.size_bytes or 0)} for item in plan.items]
    text = table(rows, {"object": "object", "size": "size"})
    return f"{text}\n{count(len(rows), 'object')} would be packed: {output}"


@command("unpack")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--profile", metavar="NAME", help="Make the unpacked stack the current generation of this profile.")
@click.option("--trust", "trusted", multiple=True, metavar="KEY", help="Also trust this public key, name:base64.")
def unpack_command(settings: Settings, file: Path, profile: str | None, trusted: tuple[str, ...]) -> None:
    """Every object is verified. Objects that the store has are skipped.

    With --profile, the bundle must have been packed for one stack.
    """
    from vstore.api.caches import make_generation, trust_of
    from vstore.api.publishing import unpack_bundle

    with settings.open_store(create=True) as store:
        trust = trust_of(store.config, trusted)
        done = unpack_bundle(store, file, trust=trust, reporter=settings.reporter)
        _, generation, changed = make_generation(store, done.tops, profile) if profile else (None, None, False)
    document: UnpackDocument = {
        "requested": [str(path) for path in done.tops],
        "added": [str(path) for path in done.added],
        "realisations": done.realisations,
        "profile": profile,
        "generation": generation,
        "changed": changed,
    }
    text = f"added {count(len(done.added), 'object')}: {', '.join(document['requested'])}"
    if profile is None:
        text += "\n--profile NAME makes a generation of the stack, which keeps it"
    else:
        text += f"\nprofile {profile} {'is now' if changed else 'is still'} generation {generation}"
    settings.emit(document, lambda: text)
