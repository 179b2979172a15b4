"""Caches: remote collections of objects, pushed to, pulled from, and asked before something is built.

Start reading at `vstore.remote.records.layout` and `vstore.remote.records.model`; docs/cache.md is the format.
"""

from vstore.remote.configured_caches import refetch, substitution, trust_of
from vstore.remote.maintenance.collect import collect
from vstore.remote.maintenance.plan import CachePlan, Policy, make_plan
from vstore.remote.maintenance.verify import CacheProblem, verify_cache
from vstore.remote.records.cache import Cache
from vstore.remote.records.channels import check_channel_name, publish_channel, read_channel
from vstore.remote.records.inventory import read_inventory
from vstore.remote.records.model import Channel
from vstore.remote.records.trust import Key, SecretKey, Trust, signing_keys, write_key
from vstore.remote.sync.fetch import Fetcher
from vstore.remote.sync.pull import Pulled, pull
from vstore.remote.sync.push import Pushed, Pusher
from vstore.remote.transport.registry import open_cache

__all__ = [
    "Cache",
    "CachePlan",
    "CacheProblem",
    "Channel",
    "Fetcher",
    "Key",
    "Policy",
    "Pulled",
    "Pushed",
    "Pusher",
    "SecretKey",
    "Trust",
    "check_channel_name",
    "collect",
    "make_plan",
    "open_cache",
    "publish_channel",
    "pull",
    "read_channel",
    "read_inventory",
    "refetch",
    "signing_keys",
    "substitution",
    "trust_of",
    "verify_cache",
    "write_key",
]
