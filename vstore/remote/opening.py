"""From what a user writes to a cache: a name in config.toml, a URL, or a folder."""

from __future__ import annotations

from pathlib import Path

from vstore.config import CacheConfig
from vstore.errors import UsageError
from vstore.remote.cache import Cache
from vstore.remote.objectstore import SCHEMES, ObjectStoreTransport
from vstore.remote.patience import Patient
from vstore.stop import Stop


def open_cache(
    text: str, known: tuple[CacheConfig, ...] = (), *, hasty: bool = False, stop: Stop | None = None
) -> Cache:
    """The cache that `text` names. UsageError if it is nothing of the kind.

    A `hasty` one gives up soon, for when there is another way to what is asked for. Setting `stop` ends all waiting.
    """
    config = next((one for one in known if one.name == text), None)
    url = config.url if config else text
    if "://" not in url:
        if config is None and "/" not in url and url not in (".", ".."):
            names = ", ".join(one.name for one in known) or "none yet"
            raise UsageError(f"no such cache: {text}", hint=f"give a URL or a folder; names in config.toml: {names}")
        url = Path(url).expanduser().absolute().as_uri()
    if not url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        raise UsageError(f"not a cache that can be reached: {url}", hint=f"URLs start with {'://, '.join(SCHEMES)}://")
    options = config.options if config else {}
    stop = stop or Stop()
    if hasty:
        quick = ObjectStoreTransport(url, options, stall_seconds=8.0, record_seconds=10.0, stop=stop)
        transport = Patient(quick, attempts=2, patience_seconds=10.0, failures=1, sleep=stop.wait)
    else:
        transport = Patient(ObjectStoreTransport(url, options, stop=stop), sleep=stop.wait)
    return Cache(transport, name=config.name if config else None, stop=stop)
