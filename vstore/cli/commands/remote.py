"""`vstore push` and `vstore pull`: sharing objects through caches."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.quantities import AGE
from vstore.cli.settings import Settings
from vstore.plural import count
from vstore.sizes import size

if TYPE_CHECKING:
    from collections.abc import Callable

    from vstore.api.caches import Cache, Pushed
    from vstore.api.sboms import Sbom
    from vstore.api.stores import Store, StorePath
    from vstore.cli.documents.caches import PullDocument, PushDocument

_LIFETIME = timedelta(days=30)


@command("push")
@click.argument("cache")
@click.argument("what", nargs=-1, required=True)
@click.option("--channel", metavar="NAME", help="Let this channel of the cache point to WHAT, a stack.")
@click.option("--expires", type=AGE, default=_LIFETIME, help="How long the channel's record is good (default: 30d).")
@click.option(
    "--key",
    "key_files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Sign with this secret key (default: those that `vstore key generate` made here).",
)
@click.option(
    "--delta-from", metavar="WHAT", help="Also make deltas from this older object and those that it refers to."
)
@click.option("--sbom", type=click.Choice(["cyclonedx", "spdx"]), help="Attach an SBOM to each WHAT.")
@click.option("--level", type=click.IntRange(1, 19), help="How hard to compress (default: 3).")
@click.option("-j", "--jobs", type=click.IntRange(1), default=2, help="Push this many objects at a time (default: 2).")
@click.option(
    "--verify", is_flag=True, help="Read every byte that CACHE has of these objects, and replace damaged files."
)
def push_command(
    settings: Settings,
    cache: str,
    what: tuple[str, ...],
    channel: str | None,
    delta_from: str | None,
    sbom: str | None,
    expires: timedelta,
    key_files: tuple[Path, ...],
    level: int | None,
    jobs: int,
    verify: bool,
) -> None:
    """CACHE is a URL (file, https, s3, gs, az, oci), a folder, or a name from
    config.toml; it is made if it does not exist. Objects are signed with the keys of this store.
    """
    from vstore.api.caches import PushOptions, SecretKey, open_cache, push
    from vstore.api.stores import resolve_what

    with settings.open_source() as store:
        opened = open_cache(store, cache, reporter=settings.reporter)
        options = PushOptions(
            channel=channel,
            lifetime=expires,
            delta_from=resolve_what(store, delta_from, keep=True).path if delta_from else None,
            sbom=_sbom_maker(settings, store, sbom) if sbom else None,
            level=level,
            jobs=jobs,
            verify=verify,
        )
        keys = tuple(map(SecretKey.read, key_files)) or None
        done = push(store, opened, what, options, keys=keys, reporter=settings.reporter)
    _emit_pushed(settings, opened, done)


def _sbom_maker(settings: Settings, store: Store, form: str) -> Callable[[StorePath], Sbom]:
    from vstore.api.sboms import SbomFormat, SbomOptions, sbom_maker
    from vstore.cli.commands.sbom import dated

    return sbom_maker(store, dated(SbomOptions(format=SbomFormat(form))), reporter=settings.reporter)


def _emit_pushed(settings: Settings, cache: Cache, done: Pushed) -> None:
    from vstore.cli.documents.caches import channel_document, channel_text, sbom_document

    pushed_bytes = done.archive_bytes + done.delta_bytes + done.sbom_bytes
    document: PushDocument = {
        "cache": cache.url,
        "pushed": [str(path) for path in done.pushed],
        "replaced": [str(path) for path in done.replaced],
        "present": [str(path) for path in done.present],
        "pushed_bytes": pushed_bytes,
        "delta_bytes": done.delta_bytes,
        "sboms": [{**sbom_document(one), "changed": one not in done.present_sboms} for one in done.sboms],
        "conflicts": list(done.conflicts),
        "channel": channel_document(done.channel) if done.channel else None,
    }
    replaced = f" ({len(done.replaced)} were damaged there)" if done.replaced else ""
    pointed = f"\n{channel_text(done.channel)}" if done.channel else ""
    text = f"pushed {count(len(done.pushed), 'object')}, {size(pushed_bytes)} to {cache.name}{replaced}"
    text += f"; {len(done.present)} already in the cache"
    attached = "".join(
        f"\n{'attached' if one['changed'] else 'already attached:'} the SBOM of {one['path']} as {one['format']}"
        for one in document["sboms"]
    )
    settings.emit(document, lambda: text + attached + pointed)


@command("pull")
@click.argument("cache")
@click.argument("what", nargs=-1)
@click.option("--profile", metavar="NAME", help="Make the pulled stack the current generation of this profile.")
@click.option("--trust", "trusted", multiple=True, metavar="KEY", help="Also trust this public key, name:base64.")
def pull_command(
    settings: Settings, cache: str, what: tuple[str, ...], profile: str | None, trusted: tuple[str, ...]
) -> None:
    """WHAT is the name of a channel, or store paths; by default the only channel, or the objects of an image.

    The stack of a channel becomes the current generation of the profile that the stack is named after. With --profile,
    WHAT must be one stack or channel.
    """
    from vstore.api.caches import open_cache, pull

    with settings.open_store(create=True) as store:
        opened = open_cache(store, cache, reporter=settings.reporter)
        done = pull(store, opened, what, profile=profile, trusted_keys=trusted, reporter=settings.reporter)
    made = done.generation
    document: PullDocument = {
        "cache": opened.url,
        "paths": [str(path) for path in done.paths],
        "fetched": [
            {
                "path": str(one.path),
                "method": one.method,
                "fetched_bytes": one.fetched_bytes,
                "saved_bytes": one.saved_bytes,
            }
            for one in done.fetched
        ],
        "fetched_bytes": done.fetched_bytes,
        "saved_bytes": done.saved_bytes,
        "profile": made.profile if made else None,
        "generation": made.number if made else None,
        "changed": bool(made and made.changed),
    }
    text = f"fetched {count(len(done.fetched), 'object')}: {size(done.fetched_bytes)}"
    text += f", {size(done.saved_bytes)} already in the store"
    if made:
        text += f"\nprofile {made.profile} {'is now' if made.changed else 'is still'} generation {made.number}"
    settings.emit(document, lambda: text)
