"""The settings in a store's ``config.toml``, and how sizes and ages are written there.

Example::

    from vstore.api import config, stores

    settings = config.read_config(stores.default_root() / "config.toml")
    print(settings.gc.max_size or config.parse_size("50G"))
"""

from vstore.config import CacheConfig, ClusterConfig, Config, GcConfig, parse_age, parse_size, read_config
from vstore.config.editing import ConfigFile, Setting
from vstore.config.keys import KEYS, ConfigKey
from vstore.config.kinds import ValueKind
from vstore.config.schema import config_schema

__all__ = [
    "KEYS",
    "CacheConfig",
    "ClusterConfig",
    "Config",
    "ConfigFile",
    "ConfigKey",
    "GcConfig",
    "Setting",
    "ValueKind",
    "config_schema",
    "parse_age",
    "parse_size",
    "read_config",
]
