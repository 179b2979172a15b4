"""A cache in a container registry: each record is an image manifest under a tag, each archive a blob."""

from vstore.remote.registry_cache.cache import RegistryCache

__all__ = ["RegistryCache"]
