"""The settings of a store, as values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from vstore.values import frozen

UNSHARED_FOR = timedelta(days=14)
ARCHIVE_BYTES = 5 << 30


@frozen
class GcConfig:
    """``[gc]``: the defaults of `vstore gc`, and when `realise` collects garbage. Sizes are in bytes.

    `cache_unshared_for` and `cache_max_size` are about the wheels in uv's caches that share no file with an object.
    """

    keep: int | None = None
    older_than: timedelta | None = None
    unused_for: timedelta | None = None
    grace: timedelta | None = None
    max_size: int | None = None
    max_freed: int | None = None
    min_free: int | None = None
    max_free: int | None = None
    cache_unshared_for: timedelta = UNSHARED_FOR
    cache_max_size: int | None = None


@frozen
class CacheConfig:
    """``[caches.<name>]``, or ``<name> = "<url>"`` in ``[caches]``. `options` are those of its transport."""

    name: str
    url: str
    options: Mapping[str, str] = {}


@frozen
class ClusterConfig:
    """``[cluster]``: the TLS files of this machine, and the resources that layers need of workers, by layer name."""

    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    resources: Mapping[str, str] = {}


@frozen
class Config:
    """The settings of a store.

    `caches` are in order of preference. At least `require` of the builders with `trusted_keys` must agree on the object
    of a recipe. `lock_wait` is the time to wait for other processes. Packed archives are kept up to `archive_bytes`.
    `audit_database` is the URL or the path of the advisories that `vstore audit` looks up.
    """

    gc: GcConfig = GcConfig()
    caches: tuple[CacheConfig, ...] = ()
    trusted_keys: tuple[str, ...] = ()
    require: int = 1
    lock_wait: timedelta | None = None
    archive_bytes: int = ARCHIVE_BYTES
    audit_database: str | None = None
    cluster: ClusterConfig = ClusterConfig()
