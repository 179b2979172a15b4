"""A cache in a container registry: each record is an image manifest under a tag, each archive a blob.

One image is a cache as well, which only reads.
"""

from vstore.remote.registry_cache.cache import RegistryCache
from vstore.remote.registry_cache.image import ImageCache

__all__ = ["ImageCache", "RegistryCache"]
