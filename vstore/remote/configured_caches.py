"""The caches and the trust that a store's config.toml configures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from vstore.cancel import CancelToken
from vstore.config import Config
from vstore.errors import ArchiveError, CacheError
from vstore.remote.address import open_cache
from vstore.remote.records.trust import Key, Trust
from vstore.remote.sync.fetch import Fetcher
from vstore.remote.sync.pull import pull
from vstore.remote.sync.substitute import CacheSubstituter
from vstore.remote.transport.protocol import FAIL_FAST, TransportError
from vstore.reporter import Reporter
from vstore.store import Store


def trust_of(config: Config, extra: Iterable[str] = ()) -> Trust:
    """Return the configured trust, with `extra` keys. Raises UsageError for a malformed key."""
    texts = dict.fromkeys((*config.trusted_keys, *extra))
    return Trust(keys=tuple(Key.parse(text) for text in texts), require=config.require)


@contextmanager
def substitution(
    store: Store,
    caches: Iterable[str] = (),
    *,
    offline: bool,
    dry_run: bool = False,
    reporter: Reporter,
    cancel: CancelToken | None = None,
) -> Iterator[CacheSubstituter]:
    """Yield a substituter for `caches`, then the configured ones; for none if `offline`.

    Setting `cancel`, or an interruption of the block, ends its requests. Afterwards the bytes fetched are reported.
    """
    config = store.config
    names = [] if offline else list(dict.fromkeys((*caches, *(one.name for one in config.caches))))
    trust = trust_of(config) if names else Trust()
    fetcher = Fetcher(store, trust=trust, reporter=reporter, cancel=cancel)
    opened = [
        open_cache(name, config.caches, limits=FAIL_FAST, cancel=fetcher.cancel, reporter=reporter) for name in names
    ]
    substituter = CacheSubstituter(opened, fetcher, dry_run=dry_run)
    with closing(substituter), fetcher.cancel.set_after(errors=False):
        yield substituter
        done = substituter.pulled()
        if not dry_run and (done.fetched_bytes or done.saved_bytes):
            fetched, saved = done.fetched_bytes / 1048576, done.saved_bytes / 1048576
            reporter.note(f"fetched {fetched:.1f} MiB from caches; {saved:.1f} MiB already in the store")


def refetch(store: Store, *, reporter: Reporter) -> None:
    """Fetch the damaged objects of the store from the configured caches. No trust is needed: contents are verified."""
    fetcher = Fetcher(store, trust=trust_of(store.config), reporter=reporter)
    for known in store.config.caches:
        cache = open_cache(known.name, store.config.caches, limits=FAIL_FAST, cancel=fetcher.cancel, reporter=reporter)
        for path in sorted(store.distrusted):
            if store.is_valid(path):  # fetched with another
                continue
            try:
                pull(fetcher, cache, [path])
            except TransportError as error:
                reporter.warn(f"{cache.name}: {error.message}", error.hint)
                break
            except (CacheError, ArchiveError) as error:
                reporter.note(f"{cache.name}: {error.message}")
