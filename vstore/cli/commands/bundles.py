"""Bundles for machines without a network: `pack` and `unpack`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.commands.publish import plan_document
from vstore.cli.paths import PLACE
from vstore.cli.settings import Settings
from vstore.cli.text import size, table
from vstore.errors import UsageError

if TYPE_CHECKING:
    from vstore.api.publishing import OutputPlan, Unpacked

FILE = click.Path(path_type=Path, dir_okay=False)


@command("pack")
@click.argument("what", nargs=-1, required=True)
@click.option("-o", "--output", type=PLACE, required=True, metavar="FILE", help="The bundle to write.")
@click.option("--closure/--no-closure", default=True, help="Whether to pack all that WHAT refers to (default: yes).")
@click.option("--without", multiple=True, metavar="WHAT", help="Leave out this and what it refers to.")
@click.option("--key", "key_files", multiple=True, type=FILE, help="Sign with this secret key (default: those here).")
@click.option("--level", type=click.IntRange(1, 22), help="How hard to compress (default: 3).")
@click.option("--best", is_flag=True, help="Smallest bundle, for a much longer time.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Objects at a time (default: the cores).")
@click.option("--dry-run", is_flag=True, help="Print the objects that would be packed, and stop.")
def pack_command(
    settings: Settings,
    what: tuple[str, ...],
    output: Path,
    closure: bool,
    without: tuple[str, ...],
    key_files: tuple[Path, ...],
    level: int | None,
    best: bool,
    jobs: int | None,
    dry_run: bool,
) -> None:
    """WHAT is a profile, PROFILE@N or a store path. `vstore unpack` adds the objects to another store."""
    from vstore.api.caches import SecretKey, signing_keys
    from vstore.api.publishing import BundleOptions, BundleOutput, Compression, members_of_objects, resolve_selector

    if best and level is not None:
        raise UsageError("--best and --level exclude each other")
    with settings.open_source() as store:
        tops = [resolve_selector(store, text) for text in what]
        options = BundleOptions(
            level=Compression.ZST.best_level if best else level,
            keys=tuple(map(SecretKey.read, key_files)) or signing_keys(store.layout.keys),
            closure=closure,
            without=tuple(resolve_selector(store, text) for text in without),
        )
        bundle = BundleOutput(store=store, file=output, options=options)
        stack = members_of_objects(store, tops)
        if dry_run:
            plan = bundle.plan(stack)
        else:
            plan = bundle.write(stack, jobs=jobs or os.cpu_count() or 1, reporter=settings.reporter)
    document = {
        **plan_document(plan, dry_run),
        "file": str(output),
        "tops": [str(path) for path in tops],
        "size_bytes": None if dry_run else output.stat().st_size,
    }
    settings.emit(document, lambda: _pack_text(plan, output, dry_run))


def _pack_text(plan: OutputPlan, output: Path, dry_run: bool) -> str:
    if not dry_run:
        return f"packed {len(plan.items)} objects, {size(output.stat().st_size)}: {output}"
    rows = [{"object": item.name, "size": size(item.size_bytes or 0)} for item in plan.items]
    text = table(rows, {"object": "object", "size": "size"})
    return f"{text}\n{len(rows)} objects would be packed: {output}"


@command("unpack")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--profile", metavar="NAME", help="Make the stack a generation of this profile.")
@click.option("--trust", "trusted", multiple=True, metavar="KEY", help="Trust this key too, written name:base64.")
def unpack_command(settings: Settings, file: Path, profile: str | None, trusted: tuple[str, ...]) -> None:
    """Every object is verified. Objects that the store has are skipped."""
    from vstore.api.caches import make_generation, trust_of
    from vstore.api.config import read_config
    from vstore.api.publishing import unpack_bundle

    with settings.open_store() as store:
        trust = trust_of(read_config(store.layout.config_file), trusted)
        done = unpack_bundle(store, file, trust=trust, reporter=settings.reporter)
        _, generation, changed = make_generation(store, done.tops, profile) if profile else (None, None, False)
    document = {
        "paths": [str(path) for path in done.tops],
        "added": [str(path) for path in done.added],
        "realisations": done.realisations,
        "profile": profile,
        "generation": generation,
        "changed": changed,
    }
    settings.emit(document, lambda: _text(done, profile, generation, changed))


def _text(done: Unpacked, profile: str | None, generation: int | None, changed: bool) -> str:
    text = f"added {len(done.added)} objects: {', '.join(map(str, done.tops))}"
    if profile is None:
        return f"{text}\n--profile NAME makes a generation of it, which keeps it"
    return f"{text}\nprofile {profile} {'is now' if changed else 'is still'} generation {generation}"
