"""Reading ``config.toml``. Unknown keys and tables are refused, so that a misspelt policy is not taken for none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from vstore.config.keys import find_key, names_in
from vstore.config.kinds import WrongValueError, cache_url, mapping, texts_by_key
from vstore.config.model import ARCHIVE_BYTES, CacheConfig, ClusterConfig, Config, GcConfig
from vstore.errors import UsageError, suggestion
from vstore.fs.reading import read_regular
from vstore.toml import TomlError, parse_toml

T = TypeVar("T")

MAX_BYTES = 1 << 20


def read_config(file: Path) -> Config:
    """Read the settings, all defaults if there is no file. Raises UsageError."""
    try:
        data = read_regular(file, limit=MAX_BYTES)
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise UsageError(f"config.toml cannot be read: {file}: {error.strerror}") from error
    return parse_config(file, data)


def parse_config(file: Path, data: bytes) -> Config:
    """Read the content of a `file`. Raises UsageError."""
    top = ConfigTable(file, "", {key: value for key, value in parse_document(file, data).items() if key != "$schema"})
    config = Config(
        gc=_gc(top.table("gc")),
        caches=_caches(top.table("caches")),
        trusted_keys=top.value("trusted_keys") or (),
        require=top.value("require") or 1,
        lock_wait=_only_value(top.table("locks"), "wait"),
        archive_bytes=ARCHIVE_BYTES if (size := _only_value(top.table("archives"), "max_size")) is None else size,
        cluster=_cluster(top.table("cluster")),
        audit_database=_only_value(top.table("audit"), "database"),
    )
    top.finish()
    return config


def parse_document(file: Path, data: bytes) -> dict[str, Any]:
    """Return the tables of a `file` with this content. Raises UsageError unless it is TOML."""
    try:
        return parse_toml(data)
    except TomlError as error:
        raise UsageError(f"{file}: not TOML: {error}") from error


def _gc(table: ConfigTable) -> GcConfig:
    values = {name: value for name in names_in("gc") if (value := table.value(name)) is not None}
    found = GcConfig(**values)
    if found.max_free is not None and found.max_free < (found.min_free or 0):
        raise table.error("max_free", "a size not below min_free", "less")
    table.finish()
    return found


def _cluster(table: ConfigTable) -> ClusterConfig:
    found = ClusterConfig(**{name: value for name in names_in("cluster") if (value := table.value(name)) is not None})
    table.finish()
    return found


def _only_value(table: ConfigTable, key: str) -> Any:
    """Return the value of the only key of a table."""
    found = table.value(key)
    table.finish()
    return found


def _caches(table: ConfigTable) -> tuple[CacheConfig, ...]:
    found = []
    for name in table.names:
        if (url := table.get(name, lambda value: cache_url(value) if isinstance(value, str) else None)) is not None:
            found.append(CacheConfig(name=name, url=url))
            continue
        inner = table.table(name)
        url = inner.get("url", cache_url)
        if url is None:
            raise inner.error("url", "a URL", "nothing")
        found.append(CacheConfig(name=name, url=url, options=inner.get("options", texts_by_key) or {}))
        inner.finish()
    table.finish()
    return tuple(found)


class ConfigTable:
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
            found = error.found if isinstance(error, WrongValueError) else self._shown(self._values[key])
            raise self.error(key, str(error), found) from error

    def value(self, key: str) -> Any:
        """Return the value of a key in `KEYS`, None if it is missing. Raises UsageError for a value of another kind."""
        known = find_key((self._name, key) if self._name else (key,))
        assert known is not None
        return self.get(key, known.kind.read)

    def table(self, key: str) -> ConfigTable:
        """Return the table at `key`, an empty one if it is missing. Raises UsageError."""
        name = f"{self._name}.{key}" if self._name else key
        return ConfigTable(self._file, name, self.get(key, mapping) or {})

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
