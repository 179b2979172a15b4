"""Bundles for machines without a network: `pack` and `unpack`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from vstore.api.caches import SecretKey, make_generation, signing_keys, trust_of
from vstore.api.config import read_config
from vstore.api.publishing import Compression, Unpacked, find, left_out, pack_bundle, unpack_bundle
from vstore.cli.command import command
from vstore.cli.paths import PLACE
from vstore.cli.settings import Settings
from vstore.cli.text import size
from vstore.errors import UsageError

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
) -> None:
    """WHAT is a profile, PROFILE@N or a store path. `vstore unpack` adds the objects to another store."""
    if best and level is not None:
        raise UsageError("--best and --level exclude each other")
    with settings.open_source() as store:
        tops = [find(store, text) for text in what]
        done = pack_bundle(
            store,
            tops,
            output,
            without=left_out(store, tops, closure=closure, without=[find(store, text) for text in without]),
            keys=tuple(map(SecretKey.read, key_files)) or signing_keys(store.layout.root / "keys"),
            level=Compression.ZST.best_level if best else level,
            jobs=jobs or os.cpu_count() or 1,
            reporter=settings.reporter,
        )
    document = {
        "file": str(output),
        "tops": [str(path) for path in tops],
        "paths": [str(path) for path in done.paths],
        "size_bytes": done.size_bytes,
    }
    settings.emit(document, lambda: f"packed {len(done.paths)} objects, {size(done.size_bytes)}: {output}")


@command("unpack")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--profile", metavar="NAME", help="Make the stack a generation of this profile.")
@click.option("--trust", "trusted", multiple=True, metavar="KEY", help="Trust this key too, written name:base64.")
def unpack_command(settings: Settings, file: Path, profile: str | None, trusted: tuple[str, ...]) -> None:
    """Every object is verified. Objects that the store has are skipped."""
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
