"""The keys of ``config.toml``: the one definition that the reader, the editor, the schema and docs/config.md follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from vstore.config.kinds import AGE, CACHE_URL, COUNT, FILE, PLACE, PUBLIC_KEYS, SIZE, TEXTS_BY_KEY, ValueKind
from vstore.values import frozen

CACHE = "<name>"  # in a key: the name of a cache, which its user chooses


@frozen(kw_only=False)
class ConfigKey:
    """A key: its path, the kind of its values, its meaning, and its default as it would be written in the file."""

    path: tuple[str, ...]
    kind: ValueKind
    meaning: str
    default: str = ""

    @property
    def name(self) -> str:
        """The key as it is written, with dots."""
        return ".".join(self.path)

    def matches(self, path: tuple[str, ...]) -> bool:
        """Return whether a path is this key, or a key of the table that is its value."""
        inner = len(path) == len(self.path) + 1 and self.kind is TEXTS_BY_KEY
        return (len(path) == len(self.path) or inner) and _starts(self.path, path)


def _gc(name: str, kind: ValueKind, meaning: str, default: str = "") -> ConfigKey:
    return ConfigKey(("gc", name), kind, meaning, default)


KEYS = (
    _gc("keep", COUNT, "Forget all but this many of the newest generations of each profile."),
    _gc("older_than", AGE, "Forget generations that were made longer ago."),
    _gc("unused_for", AGE, "Forget generations that were unused for this time, and spare objects used within it."),
    _gc("grace", AGE, "Spare objects that were made within this time."),
    _gc("max_size", SIZE, "Delete only until the store takes at most this much disk space."),
    _gc("max_freed", SIZE, "End a collection when this much is freed."),
    _gc("min_free", SIZE, "If less is free before a build, collect garbage automatically."),
    _gc("max_free", SIZE, "End an automatic collection when this much is free. The default is `min_free`."),
    _gc("cache_unshared_for", AGE, "Remove wheels from uv's cache that no object has shared for this time.", '"14d"'),
    _gc("cache_max_size", SIZE, "Remove such wheels, the longest unshared first, until all take at most this much."),
    ConfigKey(
        ("archives", "max_size"),
        SIZE,
        "Keep packed archives, those used last, up to this size in all. With 0 none are kept.",
        '"5G"',
    ),
    ConfigKey(
        ("audit", "database"), PLACE, "Advisories in the format of OSV that `vstore audit` looks up: folder or archive."
    ),
    ConfigKey(
        ("cluster", "tls_ca"), FILE, "Certificates of the authority that every machine of a cluster trusts, PEM."
    ),
    ConfigKey(("cluster", "tls_cert"), FILE, "The certificate of this machine in a cluster, PEM."),
    ConfigKey(("cluster", "tls_key"), FILE, "The private key of that certificate, PEM."),
    ConfigKey(
        ("cluster", "resources"),
        TEXTS_BY_KEY,
        "What the worker that builds a layer must offer, by the layer's name: `NAME=NUMBER`, several with commas.",
        "{}",
    ),
    ConfigKey(("locks", "wait"), AGE, "How long to wait for other processes. Default: 10 minutes; a day for builds."),
    ConfigKey(
        ("trusted_keys",), PUBLIC_KEYS, "Public keys, `name:base64`. Objects of caches need their signatures.", "[]"
    ),
    ConfigKey(("require",), COUNT, "How many trusted keys must agree on the object of a recipe.", "1"),
    ConfigKey(("caches", CACHE, "url"), CACHE_URL, 'URL of a cache; `<name> = "URL"` in `[caches]` is short for it.'),
    ConfigKey(
        ("caches", CACHE, "options"), TEXTS_BY_KEY, "Options of the cache's service, such as `aws_region`.", "{}"
    ),
)


@cache
def find_key(path: tuple[str, ...]) -> ConfigKey | None:
    """Return the key with this path, which may be short."""
    return next((one for one in KEYS if one.matches(full_path(path))), None)


def full_path(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the path of a key in full: ``caches.<name>`` is short for ``caches.<name>.url``."""
    return (*path, "url") if len(path) == 2 and path[0] == "caches" else path


def names_in(table: str) -> Iterator[str]:
    """Yield the names of the keys of a table."""
    return (one.path[-1] for one in KEYS if one.path[:-1] == (table,))


def leaves(document: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield path and value of what a document sets: the values of keys, and whatever is no key and no table of keys."""
    for name, value in document.items():
        path = (*above, name)
        is_table_of_keys = any(len(one.path) > len(path) and _starts(one.path, path) for one in KEYS)
        if isinstance(value, dict) and is_table_of_keys:
            yield from leaves(value, path)
        else:
            yield full_path(path), value


def _starts(path: tuple[str, ...], start: tuple[str, ...]) -> bool:
    return all(one in (CACHE, other) for one, other in zip(path, start, strict=False))
