"""What a store's config.toml says of caches and trust, put together for those who use them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from vstore.cancel import CancelToken
from vstore.config import Config, read_config
from vstore.errors import ArchiveError, CacheError
from vstore.remote.records.trust import Key, Trust
from vstore.remote.sync.fetch import Fetcher
from vstore.remote.sync.pull import Pulled, pull
from vstore.remote.sync.substitute import Substituter
from vstore.remote.transport.protocol import TransportError
from vstore.remote.transport.registry import open_cache
from vstore.reporter import Reporter
from vstore.store import Store


def trust_of(config: Config, extra: Iterable[str] = ()) -> Trust:
    """Whom the store's owner believes. UsageError for what is not a key."""
    return Trust(keys=tuple(Key.parse(text) for text in (*config.trusted_keys, *extra)), require=config.require)


@contextmanager
def substitution(
    store: Store,
    caches: Iterable[str] = (),
    *,
    offline: bool,
    dry_run: bool = False,
    reporter: Reporter,
    cancel: CancelToken | None = None,
) -> Iterator[Substituter]:
    """What answers recipes from caches: these first, then the configured ones; none when `offline`.

    Setting `cancel` ends what it fetches, and so does what ends the block without being an error.
    """
    config = read_config(store.layout.config_file)
    names = [] if offline else list(dict.fromkeys((*caches, *(one.name for one in config.caches))))
    trust = trust_of(config) if names else Trust()
    fetcher = Fetcher(store, trust=trust, reporter=reporter, cancel=cancel)
    opened = [open_cache(name, config.caches, hasty=True, cancel=fetcher.cancel) for name in names]
    substituter = Substituter(opened, fetcher, dry=dry_run)
    with closing(substituter), fetcher.cancel.set_after(errors=False):
        yield substituter
        if not dry_run:
            report_moved(substituter.pulled(), reporter)


def refetch(store: Store, *, reporter: Reporter) -> None:
    """Bring what the store distrusts from the configured caches. Contents prove themselves: nobody need be trusted."""
    fetcher = Fetcher(store, trust=trust_of(store.config), reporter=reporter)
    for known in store.config.caches:
        cache = open_cache(known.name, store.config.caches, hasty=True, cancel=fetcher.cancel)
        for path in sorted(store.distrusted):
            if store.is_valid(path):  # came with another
                continue
            try:
                pull(fetcher, cache, [path])
            except TransportError as error:
                reporter.warn(f"{cache.name}: {error.message}", error.hint)
                break
            except (CacheError, ArchiveError) as error:
                reporter.note(f"{cache.name}: {error.message}")


def report_moved(pulled: Pulled, reporter: Reporter) -> None:
    """Say what substitution cost and spared, if there was any."""
    moved, saved = pulled.moved_bytes, pulled.saved_bytes
    if moved or saved:
        reporter.note(f"fetched {moved / 1048576:.1f} MiB from caches; {saved / 1048576:.1f} MiB were here already")
