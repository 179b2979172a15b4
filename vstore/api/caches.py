"""Caches: push to one, pull from one, list, collect and verify one; keys and trust.

Example::

    from pathlib import Path
    from vstore.api import caches, stores

    with stores.open_store() as store:
        key, _ = caches.generate_key(store, "builder-1")
        cache = caches.open_cache(store, str(Path("cache").absolute()))
        pushed = caches.push(store, cache, ["project"], caches.PushOptions(channel="stable"))
        print(len(pushed.pushed), pushed.archive_bytes)
        print(caches.pull(store, cache, ["stable"], trusted_keys=[str(key.public)]).generation)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from vstore import profile as profiles
from vstore import remote
from vstore.api.listings import ObjectFacts, ObjectFilter
from vstore.errors import CacheError, StoreError, UsageError
from vstore.extras import require_extra
from vstore.objects import Kind, StorePath
from vstore.remote import (
    Cache,
    CachePlan,
    CachePolicy,
    CacheProblem,
    Channel,
    Fetched,
    Fetcher,
    Inventory,
    Key,
    PublishedChannel,
    Pushed,
    PushOptions,
    SecretKey,
    Signer,
    Trust,
    check_exists,
    read_channel,
    trust_of,
)
from vstore.remote.records.inventory import Item
from vstore.remote.records.model import SbomRecord
from vstore.remote.registry_cache import ImageCache
from vstore.remote.transport.protocol import ListingUnsupportedError
from vstore.reporter import NullReporter, Reporter
from vstore.store import Store
from vstore.values import frozen

__all__ = [
    "Cache",
    "CachePlan",
    "CachePolicy",
    "CacheProblem",
    "Channel",
    "Fetched",
    "Inventory",
    "Item",
    "Key",
    "MadeGeneration",
    "PublishedChannel",
    "PullResult",
    "PushOptions",
    "Pushed",
    "SbomRecord",
    "SecretKey",
    "Trust",
    "cached_path",
    "collect_cache",
    "generate_key",
    "list_cached_objects",
    "make_generation",
    "open_cache",
    "pin",
    "plan_cache_gc",
    "pull",
    "push",
    "read_inventory",
    "serve",
    "signing_keys",
    "trust_of",
    "unpin",
    "verify_cache",
]


class MadeGeneration(NamedTuple):
    """A profile, the number of its current generation, and whether that generation is new."""

    profile: str
    number: int | None
    changed: bool


@frozen
class PullResult:
    """The pulled objects, those that were fetched for them, and the generation that was made."""

    paths: tuple[StorePath, ...]
    fetched: tuple[Fetched, ...]
    fetched_bytes: int
    saved_bytes: int
    generation: MadeGeneration | None


def open_cache(store: Store, cache: str, *, reporter: Reporter | None = None) -> Cache:
    """Return the cache that a name in config.toml, a URL or a folder names. Raises UsageError.

    The requests to it are details for the `reporter`.
    """
    return remote.open_cache(cache, store.config.caches, reporter=reporter)


def push(
    store: Store,
    cache: Cache,
    what: Sequence[str],
    options: PushOptions | None = None,
    *,
    keys: Sequence[SecretKey] | None = None,
    reporter: Reporter | None = None,
) -> Pushed:
    """Push objects, named as `resolve_what` reads them, with all that they refer to, signed with `keys`.

    By default the keys are those of the store. Without any, clients do not substitute from the cache; the reporter
    warns. Raises the errors of `resolve_what`, and StoreError or CacheError.
    """
    reporter = reporter or NullReporter()
    signer = Signer(signing_keys(store) if keys is None else keys, trust_of(store.config))
    options = options or PushOptions()
    if not signer.keys and options.channel is None:
        reporter.warn("pushed unsigned: clients will not substitute from it", "`vstore key generate NAME` makes a key")
    tops = [profiles.resolve_what(store, text, keep=True).path for text in what]
    return remote.push(store, cache, tops, options, signer=signer, reporter=reporter)


def pull(
    store: Store,
    cache: Cache,
    what: Sequence[str],
    *,
    profile: str | None = None,
    trusted_keys: Iterable[str] = (),
    reporter: Reporter | None = None,
) -> PullResult:
    """Pull one channel, or objects by store path, with all that they refer to.

    Without any, pull the only channel of the cache, or what an image consists of.
    The stack of a channel becomes a generation, as does a stack if `profile` is given. `trusted_keys` are trusted
    beside the configured ones. Raises UsageError, StoreError or CacheError.
    """
    trust = trust_of(store.config, trusted_keys)
    check_exists(cache)
    tops, is_channel = _tops(store, cache, what or _only_content(cache), trust)
    pulled = remote.pull(Fetcher(store, trust=trust, reporter=reporter or NullReporter()), cache, tops)
    return PullResult(
        paths=tuple(tops),
        fetched=pulled.fetched,
        fetched_bytes=pulled.fetched_bytes,
        saved_bytes=pulled.saved_bytes,
        generation=make_generation(store, tops, profile) if is_channel or profile else None,
    )


def _only_content(cache: Cache) -> list[str]:
    """Return the only channel of a cache, or the objects of an image that no other in it refers to."""
    if isinstance(cache, ImageCache):
        items = cache.inventory().items
        referred = {path for item in items.values() for path in item.record.references}
        return sorted(str(path) for path in items.keys() - referred)
    try:
        names = sorted(cache.channel_names())
    except ListingUnsupportedError:
        names = []
    if len(names) != 1:
        known = f"channels: {', '.join(names)}" if names else "give a channel, or store paths"
        raise UsageError(f"it is not clear what to pull from {cache.name}", hint=known)
    return names


def _tops(store: Store, cache: Cache, what: Sequence[str], trust: Trust) -> tuple[list[StorePath], bool]:
    """Return the store paths of texts, and whether they come from a channel."""
    found, channels = [], 0
    for text in what:
        try:
            found.append(StorePath.parse(text))
        except ValueError:
            channels += 1
            found.append(read_channel(store, cache, text, trust=trust, now=datetime.now(UTC)).path)
    if channels and len(found) > 1:
        raise UsageError("a channel is pulled alone", hint="run `vstore pull` once for each channel")
    return found, bool(channels)


def cached_path(store: Store, cache: Cache, what: str, trust: Trust) -> StorePath:
    """Return the object of a cache that a store path or the name of a channel names. Raises UsageError, CacheError."""
    return _tops(store, cache, [what], trust)[0][0]


def make_generation(store: Store, paths: Iterable[StorePath], profile: str | None = None) -> MadeGeneration:
    """Make a stack the current generation of a profile, by default the profile that the stack is named after.

    Raises UsageError if `paths` is not one stack, and StoreError if layers of it are missing.
    """
    stacks = list(paths)
    info = store.objects.info(stacks[0]) if len(stacks) == 1 else None
    if info is None or info.kind != Kind.STACK:
        raise UsageError("only one stack can become a generation", hint="give a channel, or one stack")
    layers = profiles.read_stack(store.layout.object(info.path)).layers
    missing = [str(layer.path) for layer in layers if not store.is_valid(layer.path)]
    if missing or not layers:
        why = f"{len(missing)} of its layers are not in this store" if missing else "it has no layers"
        raise StoreError(
            f"the stack {info.path} cannot run: {why}",
            details=missing,
            hint="pack it again without --no-closure and --without, or pull it from a cache",
        )
    name = profile or info.path.name.removesuffix("-stack")
    made = profiles.append(store, name, info.path, spec_path=None, spec_digest=None, now=datetime.now(UTC))
    current = made or profiles.current(store, name)
    return MadeGeneration(name, current.number if current else None, made is not None)


def read_inventory(cache: Cache, problems: dict[str, str] | None = None) -> Inventory:
    """Return all records of a cache.

    Raises CacheError for a malformed record. With `problems`, such a record is left out, and its key and the reason
    are added there.
    """
    return cache.inventory(problems)


def list_cached_objects(inventory: Inventory, wanted: ObjectFilter | None = None) -> list[Item]:
    """Return objects of a cache, sorted by store path. The last push that had one counts as its last use."""
    items = [item for _, item in sorted(inventory.items.items())]
    return (wanted or ObjectFilter()).select(items, _facts, now=datetime.now(UTC))


def _facts(item: Item) -> ObjectFacts:
    touched = item.touched_at.astimezone(UTC)
    return ObjectFacts(item.path, item.record.kind, touched.date(), touched)


def plan_cache_gc(store: Store, cache: Cache, policy: CachePolicy | None = None) -> CachePlan:
    """Return the objects of a cache that a collection would delete. Raises CacheError if a record is malformed."""
    inventory = cache.inventory()
    return remote.plan_cache_gc(inventory, policy or CachePolicy(), now=datetime.now(UTC), trust=trust_of(store.config))


def collect_cache(
    store: Store,
    cache: Cache,
    plan: CachePlan,
    policy: CachePolicy | None = None,
    *,
    reporter: Reporter | None = None,
) -> tuple[StorePath, ...]:
    """Carry out a plan; return the deleted objects. Objects that were pushed or touched since stay."""
    deleted = remote.collect_cache(
        cache, plan, policy or CachePolicy(), reporter=reporter or NullReporter(), trust=trust_of(store.config)
    )
    return tuple(item.path for item in deleted)


def verify_cache(
    store: Store, cache: Cache, *, contents: bool = False, reporter: Reporter | None = None
) -> tuple[int, list[CacheProblem]]:
    """Verify every record, archive, delta and SBOM of a cache; return the number of objects and the problems.

    With `contents` every byte is read. Raises CacheError.
    """
    trust = trust_of(store.config)
    return remote.verify_cache(store, cache, contents=contents, trust=trust, reporter=reporter or NullReporter())


def pin(cache: Cache, path: StorePath) -> None:
    """Keep an object in the cache regardless of channels. Raises CacheError if the cache does not have it."""
    if cache.object(path, Trust()) is None:
        raise CacheError(
            f"{cache.name} does not have {path}", hint=f"`vstore push {cache.name} {path}` copies it there"
        )
    cache.writer.pin(path)


def unpin(cache: Cache, path: StorePath) -> None:
    """Delete the pin of an object, if there is one."""
    cache.writer.unpin(path)


def signing_keys(store: Store) -> tuple[SecretKey, ...]:
    """Return the secret keys of the store, by name."""
    return remote.signing_keys(store.layout.keys)


def generate_key(store: Store, name: str) -> tuple[SecretKey, Path]:
    """Make a key of the store; return it and its file. Raises UsageError if it exists or the name is malformed."""
    key = SecretKey.generate(name)
    secret, _ = remote.write_key(store.layout.keys, key)
    return key, secret


def serve(
    store: Store,
    *,
    host: str,
    port: int,
    log_requests: bool = False,
    reporter: Reporter | None = None,
) -> None:
    """Serve the store as a read-only cache until interrupted. Port 0 takes any free port.

    Raises UsageError without the extra ``serve`` or for an unavailable address, BusyError for a port in use.
    """
    require_extra("serve", "servers")
    from vstore.remote.serving.endpoints import application
    from vstore.remote.serving.served_store import ServedStore
    from vstore.remote.serving.server import bind, listen
    from vstore.sbom.document import sbom_maker
    from vstore.sbom.model import SbomOptions
    from vstore.sbom_format import Sbom, SbomFormat

    def make(path: StorePath, form: SbomFormat, reporter: Reporter) -> Sbom:
        return sbom_maker(store, SbomOptions(format=form), reporter=reporter)(path)

    reporter = reporter or NullReporter()
    with bind(host, port) as bound:
        place = f"[{host}]" if ":" in host else host
        reporter.note(f"serving {store.layout.root} on http://{place}:{bound.getsockname()[1]}")
        keys = signing_keys(store)
        if not keys:
            reporter.warn("serving unsigned: clients will not substitute from it", "`vstore key generate NAME`")
        served = ServedStore(store, keys, make)
        listen(application(served), bound, served.cancel, log_requests=log_requests)
