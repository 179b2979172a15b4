"""Caches: remote collections of objects, pushed to, pulled from, and asked before something is built.

Start reading at `vstore.remote.layout` and `vstore.remote.model`; docs/cache.md is the format.
"""

from vstore.remote.cache import Cache
from vstore.remote.channels import publish_channel, read_channel
from vstore.remote.fetch import Fetcher
from vstore.remote.front import substitution, trust_of
from vstore.remote.opening import open_cache
from vstore.remote.pull import Pulled, pull
from vstore.remote.push import Pushed, Pusher
from vstore.remote.trust import Key, SecretKey, Trust, signing_keys, write_key

__all__ = [
    "Cache",
    "Fetcher",
    "Key",
    "Pulled",
    "Pushed",
    "Pusher",
    "SecretKey",
    "Trust",
    "open_cache",
    "publish_channel",
    "pull",
    "read_channel",
    "signing_keys",
    "substitution",
    "trust_of",
    "write_key",
]
