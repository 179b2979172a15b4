"""Caches: pushing to one, pulling from one, keys and trust, channels, collecting and checking a cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from vstore import profile as profiles
from vstore.errors import CacheError, StoreError, UsageError
from vstore.objects import Kind, StorePath
from vstore.remote import (
    Cache,
    CachePlan,
    CacheProblem,
    Channel,
    Fetcher,
    Policy,
    Pulled,
    Pushed,
    Pusher,
    SecretKey,
    Trust,
    check_channel_name,
    collect,
    make_plan,
    open_cache,
    publish_channel,
    pull,
    read_channel,
    read_inventory,
    signing_keys,
    trust_of,
    verify_cache,
    write_key,
)
from vstore.remote.records.layout import pin_key
from vstore.reporter import NullReporter, Reporter
from vstore.store import Store

__all__ = [
    "Cache",
    "CachePlan",
    "CacheProblem",
    "Channel",
    "Fetcher",
    "Policy",
    "Pulled",
    "Pushed",
    "Pusher",
    "SecretKey",
    "Trust",
    "check_channel_name",
    "collect",
    "make_generation",
    "make_plan",
    "open_cache",
    "pin",
    "publish_channel",
    "pull",
    "read_channel",
    "read_inventory",
    "serve",
    "signing_keys",
    "trust_of",
    "unpin",
    "verify_cache",
    "wanted",
    "write_key",
]


def wanted(store: Store, cache: Cache, what: Iterable[str], trust: Trust) -> tuple[list[StorePath], bool]:
    """The store paths that texts stand for, and whether they come from a channel. Raises UsageError or CacheError."""
    found, channels = [], 0
    for text in what:
        try:
            found.append(StorePath.parse(text))
        except ValueError:
            channels += 1
            found.append(read_channel(store, cache, text, trust=trust, now=datetime.now(UTC)).path)
    if channels and len(found) > 1:
        raise UsageError("a channel is pulled alone")
    return found, bool(channels)


def pin(cache: Cache, path: StorePath) -> None:
    """Keep an object, and everything it refers to, in a cache whatever its channels are.

    Raises CacheError if the cache does not have it.
    """
    if cache.object(path) is None:
        raise CacheError(f"{cache.name} does not have {path}")
    cache.transport.put(pin_key(path), b"{}\n")


def unpin(cache: Cache, path: StorePath) -> None:
    """Remove the pin of an object, if there is one."""
    cache.transport.delete([pin_key(path)])


def make_generation(
    store: Store, paths: Iterable[StorePath], profile: str | None = None
) -> tuple[str, int | None, bool]:
    """Make the one stack the current generation; the profile, the number, and whether that is new.

    Raises UsageError for anything but one stack, StoreError for a stack that could not run.
    """
    stacks = list(paths)
    info = store.objects.info(stacks[0]) if len(stacks) == 1 else None
    if info is None or info.kind != Kind.STACK:
        raise UsageError("only one stack can become a generation", hint="name a channel, or one stack")
    layers = profiles.read_stack(store.layout.object(info.path)).layers
    missing = [str(layer.path) for layer in layers if not store.is_valid(layer.path)]
    if missing or not layers:
        raise StoreError(
            f"a stack that cannot run, as {'layers are not here' if missing else 'it has no layers'}: {info.path}",
            details=missing,
            hint="pack or push it with its closure",
        )
    name = profile or info.path.name.removesuffix("-stack")
    made = profiles.append(store, name, info.path, spec_path=None, spec_digest=None, now=datetime.now(UTC))
    now_current = made or profiles.current(store, name)
    return name, now_current.number if now_current else None, made is not None


def serve(
    store: Store,
    keys: Sequence[SecretKey],
    *,
    host: str,
    port: int,
    most_bytes: int | None = None,
    log_requests: bool = False,
    reporter: Reporter | None = None,
) -> None:
    """Offer the store read-only as a cache until interrupted; port 0 takes any that is free.

    Packed archives are kept, of `most_bytes` at most (10 GiB).

    Raises UsageError without the extra ``serve`` or for an address that cannot be had, BusyError for a port in use.
    """
    try:
        from vstore.remote.serving.server import bind, listen
        from vstore.remote.serving.shelf import MOST_BYTES, Shelf
        from vstore.remote.serving.site import application
    except ImportError as error:
        raise UsageError(
            f"`serve` needs more packages: {error.name}", hint="install vstore with its extra: vstore[serve]"
        ) from error
    with bind(host, port) as bound:
        place = f"[{host}]" if ":" in host else host
        (reporter or NullReporter()).note(f"serving {store.layout.root} on http://{place}:{bound.getsockname()[1]}")
        shelf = Shelf(store, tuple(keys), MOST_BYTES if most_bytes is None else most_bytes)
        listen(application(shelf), bound, shelf.cancel, log_requests=log_requests)
