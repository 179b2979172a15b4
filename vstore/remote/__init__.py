"""Caches: remote collections of objects, pushed to, pulled from, and asked before something is built.

Start reading at `vstore.remote.layout` and `vstore.remote.model`; docs/cache.md is the format.
"""

from vstore.remote.cache import Cache
from vstore.remote.channels import check_channel_name, publish_channel, read_channel
from vstore.remote.collect import collect
from vstore.remote.fetch import Fetcher
from vstore.remote.front import refetch, substitution, trust_of
from vstore.remote.inventory import read_inventory
from vstore.remote.model import Channel
from vstore.remote.opening import open_cache
from vstore.remote.plan import CachePlan, Policy, make_plan
from vstore.remote.pull import Pulled, pull
from vstore.remote.push import Pushed, Pusher
from vstore.remote.trust import Key, SecretKey, Trust, signing_keys, write_key
from vstore.remote.verify import CacheProblem, verify_cache

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
