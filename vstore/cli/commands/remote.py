"""`vstore push` and `vstore pull`: sharing objects through caches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.quantities import AGE
from vstore.cli.settings import Settings
from vstore.cli.text import size, when
from vstore.errors import UsageError

if TYPE_CHECKING:
    from vstore.api.caches import Cache, Channel, Pushed
    from vstore.api.stores import Store
    from vstore.cli.documents.caches import ChannelDocument, PullDocument, PushDocument

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
@click.option("--delta-from", metavar="PATH", help="Also make deltas from the older objects that PATH refers to.")
@click.option("--level", type=click.IntRange(1, 19), help="How hard to compress (default: 3).")
@click.option("-j", "--jobs", type=click.IntRange(1), default=2, help="Objects at a time (default: 2).")
@click.option("--verify", is_flag=True, help="Read all that CACHE has of it, and replace what is damaged.")
def push_command(
    settings: Settings,
    cache: str,
    what: tuple[str, ...],
    channel: str | None,
    delta_from: str | None,
    expires: timedelta,
    key_files: tuple[Path, ...],
    level: int | None,
    jobs: int,
    verify: bool,
) -> None:
    """WHAT is a profile or a store path. CACHE is a URL (file, https, s3, gs, az), a folder, or a name from
    config.toml; it is made if it does not exist. Objects are signed with the keys of this store.
    """
    from vstore.api.caches import (
        Pusher,
        SecretKey,
        check_channel_name,
        open_cache,
        publish_channel,
        signing_keys,
        trust_of,
    )
    from vstore.api.config import read_config
    from vstore.api.publishing import resolve_selector
    from vstore.api.stores import Kind

    with settings.open_source() as store:
        config = read_config(store.layout.config_file)
        opened, trust = open_cache(cache, config.caches), trust_of(config)
        keys = tuple(map(SecretKey.read, key_files)) or signing_keys(_key_folder(store))
        if not keys:
            settings.reporter.warn(
                "pushed without a signature: nobody will take it by recipe", "`vstore key generate NAME` makes a key"
            )
        tops = [resolve_selector(store, text) for text in what]
        info = store.objects.info(tops[0]) if channel is not None else None
        if channel is not None:
            check_channel_name(channel)
        if channel is not None and (len(tops) != 1 or info is None or info.kind != Kind.STACK):
            raise UsageError(f"channel {channel} points to one stack", hint="give one profile, or the path of a stack")
        ready = partial(
            Pusher, store, opened, keys=keys, reporter=settings.reporter, jobs=jobs, level=level, trust=trust
        )
        pusher = ready(verify=verify)
        done = pusher.push(tops)
        delta_bytes = pusher.push_deltas(tops, resolve_selector(store, delta_from)) if delta_from else 0
        now = datetime.now(UTC)
        made = None
        if channel is not None and info:
            made = publish_channel(opened, channel, info, keys=keys, lifetime=expires, now=now, trust=trust)
            ready().push(tops)  # what a collection may have taken before it could see the channel
    _emit_pushed(settings, opened, done, delta_bytes, made)


def _emit_pushed(settings: Settings, cache: Cache, done: Pushed, delta_bytes: int, made: Channel | None) -> None:
    channel: ChannelDocument | None = (
        {
            "name": made.name,
            "number": made.number,
            "expires_at": when(made.expires_at),
            "signed_by": [signature.key for signature in made.signatures],
        }
        if made
        else None
    )
    moved_bytes = done.moved_bytes + delta_bytes
    document: PushDocument = {
        "cache": cache.url,
        "pushed": [str(path) for path in done.pushed],
        "replaced": [str(path) for path in done.replaced],
        "present": [str(path) for path in done.present],
        "moved_bytes": moved_bytes,
        "delta_bytes": delta_bytes,
        "conflicts": list(done.conflicts),
        "channel": channel,
    }
    replaced = f" ({len(done.replaced)} were damaged there)" if done.replaced else ""
    pointed = f"\nchannel {made.name} number {made.number} points to {made.path}" if made else ""
    text = f"pushed {len(done.pushed)} objects, {size(moved_bytes)}{replaced}; {len(done.present)} were there already"
    settings.emit(document, lambda: text + pointed)


def _key_folder(store: Store) -> Path:
    return store.layout.keys


@command("pull")
@click.argument("cache")
@click.argument("what", nargs=-1, required=True)
@click.option("--profile", metavar="NAME", help="Make the stack a generation of this profile.")
@click.option("--trust", "trusted", multiple=True, metavar="KEY", help="Trust this key too, written name:base64.")
def pull_command(
    settings: Settings, cache: str, what: tuple[str, ...], profile: str | None, trusted: tuple[str, ...]
) -> None:
    """WHAT is the name of a channel, or store paths. The stack of a channel becomes a generation, as does a stack with
    --profile.
    """
    from vstore.api.caches import Fetcher, make_generation, open_cache, pull, trust_of, wanted
    from vstore.api.config import read_config

    with settings.open_store() as store:
        config = read_config(store.layout.config_file)
        trust = trust_of(config, trusted)
        opened = open_cache(cache, config.caches)
        opened.check()
        tops, is_channel = wanted(store, opened, what, trust)
        pulled = pull(Fetcher(store, trust=trust, reporter=settings.reporter), opened, tops)
        made = make_generation(store, tops, profile) if is_channel or profile else None
    document: PullDocument = {
        "cache": opened.url,
        "paths": [str(path) for path in tops],
        "fetched": [
            {"path": str(one.path), "how": one.how, "moved_bytes": one.moved_bytes, "saved_bytes": one.saved_bytes}
            for one in pulled.fetched
        ],
        "moved_bytes": pulled.moved_bytes,
        "saved_bytes": pulled.saved_bytes,
        "profile": made[0] if made else None,
        "generation": made[1] if made else None,
        "changed": bool(made and made[2]),
    }
    text = f"fetched {len(pulled.fetched)} objects: {size(pulled.moved_bytes)} moved, {size(pulled.saved_bytes)} spared"
    if made:
        text += f"\nprofile {made[0]} {'is now' if made[2] else 'is still'} generation {made[1]}"
    settings.emit(document, lambda: text)
