"""The settings in a store's ``config.toml``, and how sizes and ages are written there."""

from vstore.config import Config, GcConfig, parse_age, parse_size, read_config

__all__ = ["Config", "GcConfig", "parse_age", "parse_size", "read_config"]
