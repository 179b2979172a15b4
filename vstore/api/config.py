"""The settings in a store's ``config.toml``, and how sizes and ages are written there.

Example::

    from vstore.api import config, stores

    settings = config.read_config(stores.default_root() / "config.toml")
    print(settings.gc.max_size or config.parse_size("50G"))
"""

from vstore.config import CacheConfig, Config, GcConfig, parse_age, parse_size, read_config

__all__ = ["CacheConfig", "Config", "GcConfig", "parse_age", "parse_size", "read_config"]
