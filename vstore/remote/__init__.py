"""Caches: remote collections of objects to push to, to pull from, and to substitute builds from.

Start reading at `vstore.remote.records.cache` and `vstore.remote.records.model`. docs/internals/cache.md has the
formats.
"""

from vstore.remote.address import open_cache
from vstore.remote.configured_caches import refetch, substitution, trust_of
from vstore.remote.file_cache import FileCache
from vstore.remote.maintenance.collect import collect_cache
from vstore.remote.maintenance.plan import CachePlan, CachePolicy, plan_cache_gc
from vstore.remote.maintenance.verify import CacheProblem, verify_cache
from vstore.remote.records.cache import Cache, check_exists
from vstore.remote.records.channels import PublishedChannel, publish_channel, read_channel
from vstore.remote.records.inventory import Inventory
from vstore.remote.records.model import Channel
from vstore.remote.records.trust import Key, SecretKey, Signer, Trust, signing_keys, write_key
from vstore.remote.repositories import open_repository
from vstore.remote.sync.fetch import Fetched, Fetcher
from vstore.remote.sync.pull import Pulled, pull
from vstore.remote.sync.push import Pushed, Pusher, PushOptions, push
from vstore.remote.sync.sboms import fetch_sbom

__all__ = [
    "Cache",
    "CachePlan",
    "CachePolicy",
    "CacheProblem",
    "Channel",
    "Fetched",
    "Fetcher",
    "FileCache",
    "Inventory",
    "Key",
    "PublishedChannel",
    "Pulled",
    "PushOptions",
    "Pushed",
    "Pusher",
    "SecretKey",
    "Signer",
    "Trust",
    "check_exists",
    "collect_cache",
    "fetch_sbom",
    "open_cache",
    "open_repository",
    "plan_cache_gc",
    "publish_channel",
    "pull",
    "push",
    "read_channel",
    "refetch",
    "signing_keys",
    "substitution",
    "trust_of",
    "verify_cache",
    "write_key",
]
