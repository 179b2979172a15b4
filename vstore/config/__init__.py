"""``config.toml`` in the root of a store: the settings of its owner, as values.

Every key has a default, so the file need not exist. Editing the file is in `config.editing`, its schema in
`config.schema`.
"""

from vstore.config.kinds import parse_age, parse_size
from vstore.config.model import CacheConfig, ClusterConfig, Config, GcConfig
from vstore.config.reader import read_config

__all__ = ["CacheConfig", "ClusterConfig", "Config", "GcConfig", "parse_age", "parse_size", "read_config"]
