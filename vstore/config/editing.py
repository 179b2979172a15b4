"""Editing ``config.toml``: single keys, with comments and order of the file kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vstore.config.keys import CACHE, KEYS, ConfigKey, find_key, full_path, leaves
from vstore.config.kinds import COUNT, TEXTS_BY_KEY, WrongValueError
from vstore.config.reader import MAX_BYTES, parse_config, parse_document
from vstore.errors import UsageError, nearest
from vstore.fs.atomic import write_file
from vstore.fs.reading import read_regular
from vstore.toml import TomlError, parse_toml
from vstore.values import frozen

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

Path_ = tuple[str, ...]


@frozen
class Setting:
    """A key and its value in the file, None if it is not set there. `key` is None for one that vstore does not know."""

    name: str
    value: object
    key: ConfigKey | None

    @property
    def hint(self) -> str:
        """For an unknown key: the known one that is most similar, as a sentence, or an empty text."""
        near = nearest(self.name, [one.name for one in KEYS])
        return f"did you mean {near}?" if near else ""


class ConfigFile:
    """The file `config.toml` at `path`, which need not exist. Changes are written whole or not at all."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises UsageError if it cannot be read, or is not TOML."""
        self.path = path
        try:
            self._data = read_regular(path, limit=MAX_BYTES)
        except FileNotFoundError:
            self._data = b""
        except OSError as error:
            raise UsageError(f"config.toml cannot be read: {path}: {error.strerror}") from error
        self._values: Mapping[str, object] = parse_document(path, self._data)

    def settings(self) -> tuple[Setting, ...]:
        """Return all keys: those that the file sets in its order, then the others. Unknown ones are among them."""
        found = [
            Setting(name=_written(path), value=value, key=find_key(path))
            for path, value in leaves(self._values)
            if path != ("$schema",)
        ]
        given = {one.name for one in found}
        others = (one for one in KEYS if one.name not in given and CACHE not in one.path)
        return (*found, *(Setting(name=one.name, value=None, key=one) for one in others))

    def get(self, name: str) -> Setting:
        """Return a key. Raises UsageError if there is no such key."""
        path, key = parse_key(name)
        value: object = self._values
        for part in path:
            value = value.get(part) if isinstance(value, dict) else value if part == "url" else None
        return Setting(name=_written(path), value=value, key=key)

    def set(self, name: str, texts: Sequence[str], *, append: bool = False) -> Setting:
        """Set a key to the value in `texts`: one text, or the items of a list. With `append` add to the list.

        Raises UsageError for an unknown key and for a value that is not valid.
        """
        path, key = parse_key(name)
        value = _value(key, path, texts)
        if append:
            if not key.kind.is_list:
                raise UsageError(f"{_written(path)} is not a list", hint="leave out --append")
            known = self.get(name).value
            old = known if isinstance(known, list) else []
            value = [*old, *(one for one in texts if one not in old)]
        document = self._document()
        place: Any = document
        for part in path[:-1]:
            inner = place.get(part)
            if isinstance(inner, str) and path[-1] == "url":  # name = "URL"
                path = path[:-1]
                break
            place = _table(place, part, {"url": str(inner)} if isinstance(inner, str) else {})
        place[path[-1]] = value
        self._write(document)
        return self.get(name)

    def unset(self, name: str) -> Setting:
        """Remove a key, also one that vstore does not know. Raises UsageError if it is not set."""
        unknown = next((one for one in self.settings() if one.key is None and one.name == name), None)
        path = _parse_path(name) if unknown else parse_key(name)[0]
        document = self._document()
        places: list[Any] = [document]
        for part in path:
            inner = places[-1].get(part) if hasattr(places[-1], "get") else None
            if inner is None:
                break
            places.append(inner)
        depth = len(places) - 1
        if depth < len(path) and not (path[-1] == "url" and depth == len(path) - 1 and isinstance(places[-1], str)):
            raise UsageError(f"{_written(path)} is not set in {self.path}", hint="`vstore config list` shows what is")
        del places[depth - 1][path[depth - 1]]
        if path[0] == "caches" and path[-1] == "url" and depth == len(path):  # a cache without a URL is none
            del places[depth - 2][path[depth - 2]]
        self._write(document)
        return Setting(name=name, value=None, key=None) if unknown else self.get(name)

    def _document(self) -> TOMLDocument:
        import tomlkit

        return tomlkit.parse(self._data.decode())

    def _write(self, document: TOMLDocument) -> None:
        """Write the changed document. Raises UsageError if the change is not valid."""
        import tomlkit

        data = tomlkit.dumps(document).encode()
        if self._is_valid(self._data):
            parse_config(self.path, data)
        place = Path(os.path.realpath(self.path))  # of a link, the file that it leads to is written
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_file(place, data, mode=0o600, keep_mode=True)  # it may get a login
        except OSError as error:
            raise UsageError(f"config.toml cannot be written: {self.path}: {error.strerror}") from error
        self._data, self._values = data, parse_document(self.path, data)

    def _is_valid(self, data: bytes) -> bool:
        try:
            parse_config(self.path, data)
        except UsageError:
            return False
        return True


def _parse_path(name: str) -> Path_:
    """Return the path of a key that is written as in TOML; empty if the name is not valid."""
    path = []
    try:
        inner: object = parse_toml(f"{name} = 0".encode())
    except TomlError:
        inner = None
    while isinstance(inner, dict) and len(inner) == 1:
        [(part, inner)] = inner.items()
        path.append(part)
    return tuple(path)


def parse_key(name: str) -> tuple[Path_, ConfigKey]:
    """Return the path of a key as it is written in TOML, and what is known of it. Raises UsageError."""
    path = _parse_path(name)
    found = find_key(path)
    if found is None or (found.kind is TEXTS_BY_KEY and len(path) == len(found.path)):
        near = nearest(name, [one.name for one in KEYS])
        hint = f"did you mean {near}? " if near else ""
        raise UsageError(f"no such key of config.toml: {name}", hint=f"{hint}`vstore config list` shows all keys")
    return full_path(path), found


def _value(key: ConfigKey, path: Path_, texts: Sequence[str]) -> object:
    """Return the TOML value that texts stand for. Raises UsageError for one that is not of the key's kind."""
    if len(texts) != 1 and not key.kind.is_list:
        raise UsageError(f"{_written(path)} takes one value, not {len(texts)}")
    number = int(texts[0]) if key.kind is COUNT and texts[0].isdecimal() else None
    value: object = list(texts) if key.kind.is_list else texts[0] if number is None else number
    try:
        key.kind.read({path[-1]: value} if key.kind is TEXTS_BY_KEY else value)
    except ValueError as error:
        found = error.found if isinstance(error, WrongValueError) else repr(texts[0])
        raise UsageError(f"{_written(path)}: expected {error}, found {found}") from error
    return value


def _table(place: Any, name: str, content: Mapping[str, object]) -> Any:
    """Return the table at a name, made if it is missing, or with `content` in place of another value."""
    import tomlkit

    if not isinstance(place.get(name), dict):
        made = tomlkit.table(is_super_table=name == "caches")
        for key, value in content.items():
            made[key] = value
        place[name] = made
    return place[name]


def _written(path: Path_) -> str:
    """Return a path as TOML has it: parts with other characters than letters, digits, ``-`` and ``_`` are quoted."""
    return ".".join(_parts(path))


def _parts(path: Path_) -> Iterator[str]:
    import json

    for part in path:
        plain = part.isascii() and part.replace("-", "").replace("_", "").isalnum()
        yield part if plain else json.dumps(part, ensure_ascii=False)
