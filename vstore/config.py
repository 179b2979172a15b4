"""``config.toml`` in the root of a store: the settings of its owner, as values.

Every key has a default, so the file need not exist. Unknown keys and tables are refused, so that a misspelt policy is
not taken for none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from vstore.errors import UsageError, suggestion
from vstore.fs.reading import read_regular
from vstore.toml import TomlError, parse_toml
from vstore.values import frozen

T = TypeVar("T")

_MAX_BYTES = 1 << 20
_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_OLDEST_SECONDS = 100 * 366 * 86400
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
UNSHARED_FOR = timedelta(days=14)


def parse_age(text: str) -> timedelta:
    """Parse an age such as ``30d``, ``12h`` or ``2w``. Raises ValueError."""
    found = re.fullmatch(r"(\d{1,9})\s*([smhdw])", text.strip().lower())
    if not found:
        raise ValueError(f"{text!r} is not an age such as 30d, 12h or 2w")
    seconds = int(found[1]) * _AGES[found[2]]
    if seconds > _OLDEST_SECONDS:
        raise ValueError(f"{text!r} is longer ago than a hundred years")
    return timedelta(seconds=seconds)


def parse_size(text: str) -> int:
    """Parse a size such as ``5G`` or ``500MiB`` into bytes. Units are powers of 1024. Raises ValueError."""
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,18})?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if not found:
        raise ValueError(f"{text!r} is not a size such as 500M or 5G")
    return int(float(found[1]) * _SIZES[found[2]])


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
class Config:
    """The settings of a store.

    `caches` are in order of preference. At least `require` of the builders with `trusted_keys` must agree on the object
    of a recipe. `lock_wait` is the time to wait for other processes.
    """

    gc: GcConfig = GcConfig()
    caches: tuple[CacheConfig, ...] = ()
    trusted_keys: tuple[str, ...] = ()
    require: int = 1
    lock_wait: timedelta | None = None


def read_config(file: Path) -> Config:
    """Read the settings, all defaults if there is no file. Raises UsageError."""
    try:
        text = read_regular(file, limit=_MAX_BYTES)
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise UsageError(f"config.toml cannot be read: {file}: {error.strerror}") from error
    try:
        document = parse_toml(text)
    except TomlError as error:
        raise UsageError(f"{file}: not TOML: {error}") from error
    top = Table(file, "", document)
    config = Config(
        gc=_gc(top.table("gc")),
        caches=_caches(top.table("caches")),
        trusted_keys=top.get("trusted_keys", texts) or (),
        require=top.get("require", count) or 1,
        lock_wait=_lock_wait(top.table("locks")),
    )
    top.finish()
    return config


def _gc(table: Table) -> GcConfig:
    unshared_for = table.get("cache_unshared_for", age)
    found = GcConfig(
        keep=table.get("keep", count),
        older_than=table.get("older_than", age),
        unused_for=table.get("unused_for", age),
        grace=table.get("grace", age),
        max_size=table.get("max_size", size),
        max_freed=table.get("max_freed", size),
        min_free=table.get("min_free", size),
        max_free=table.get("max_free", size),
        cache_unshared_for=UNSHARED_FOR if unshared_for is None else unshared_for,
        cache_max_size=table.get("cache_max_size", size),
    )
    if found.max_free is not None and found.max_free < (found.min_free or 0):
        raise table.error("max_free", "a size not below min_free", "less")
    table.finish()
    return found


def _lock_wait(table: Table) -> timedelta | None:
    found = table.get("wait", age)
    table.finish()
    return found


def _caches(table: Table) -> tuple[CacheConfig, ...]:
    found = []
    for name in table.names:
        if (url := table.get(name, lambda value: value if isinstance(value, str) else None)) is not None:
            found.append(CacheConfig(name=name, url=url))
            continue
        inner = table.table(name)
        url = inner.get("url", text)
        if url is None:
            raise inner.error("url", "a URL", "nothing")
        found.append(CacheConfig(name=name, url=url, options=inner.get("options", texts_by_key) or {}))
        inner.finish()
    table.finish()
    return tuple(found)


class Table:
    """A TOML table. It records the keys that are read, so that `finish` finds unknown ones."""

    def __init__(self, file: Path, name: str, values: Mapping[str, object]) -> None:
        self._file = file
        self._name = name
        self._values = values
        self._known: set[str] = set()

    def get(self, key: str, convert: Callable[[object], T]) -> T | None:
        """Return the value of `key`, None if it is missing. `convert` raises ValueError with the expected type.

        Raises UsageError for a value of another type.
        """
        self._known.add(key)
        if key not in self._values:
            return None
        try:
            return convert(self._values[key])
        except ValueError as error:
            raise self.error(key, str(error), self._shown(self._values[key])) from error

    def table(self, key: str) -> Table:
        """Return the table at `key`, an empty one if it is missing. Raises UsageError."""
        name = f"{self._name}.{key}" if self._name else key
        return Table(self._file, name, self.get(key, mapping) or {})

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of the table."""
        return tuple(self._values)

    def error(self, key: str, expected: str, found: str) -> UsageError:
        """Return the error for a value."""
        name = f"{self._name}.{key}" if self._name else key
        return UsageError(f"{self._file}: {name}: expected {expected}, found {found}")

    def _shown(self, value: object) -> str:
        """Return a value for an error. Only the type of a cache's values is shown, as they may be secret."""
        kinds: dict[type, str] = {dict: "a table", list: "a list", str: "a string"}
        secret = self._name.startswith("caches") or isinstance(value, dict)
        return kinds.get(type(value), repr(value)) if secret else repr(value)

    def finish(self) -> None:
        """Raise UsageError if the table has a key that was not read."""
        for key in self._values:
            if key not in self._known:
                name = f"{self._name}.{key}" if self._name else key
                raise UsageError(
                    f"{self._file}: {name}: no such key",
                    hint=f"{suggestion(key, self._known)}known: {', '.join(sorted(self._known))}",
                )


def mapping(value: object) -> Mapping[str, object]:
    """Return a table. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("a table")
    return value


def text(value: object) -> str:
    """Return a string. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("a string")
    return value


def texts(value: object) -> tuple[str, ...]:
    """Return a list of strings. Raises ValueError."""
    if not isinstance(value, list):
        raise ValueError("a list of strings")
    return tuple(text(item) for item in value)


def texts_by_key(value: object) -> Mapping[str, str]:
    """Return a table of strings. Raises ValueError."""
    return {key: text(item) for key, item in mapping(value).items()}


def count(value: object) -> int:
    """Return a whole number from 1. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a whole number from 1")
    return value


def size(value: object) -> int:
    """Return a number of bytes, also of a text such as ``"5G"``. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    try:
        return parse_size(text(value))
    except ValueError as error:
        raise ValueError('a size such as "5G"') from error


def age(value: object) -> timedelta:
    """Return the age in a text such as ``"30d"``. Raises ValueError."""
    try:
        return parse_age(text(value))
    except ValueError as error:
        raise ValueError('an age such as "30d"') from error
