"""Package indexes: the table of uv's settings, and the index of each distribution."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from vstore.credentials import has_credentials, redact
from vstore.fs.reading import read_regular
from vstore.spec.model import Layer
from vstore.spec.reader import Mistakes, Table, quote
from vstore.spec.requirements import LOGIN_HINT
from vstore.toml import TomlError, parse_toml
from vstore.values import frozen

SIDE_FILE = "venvstacks.uv.toml"
_MAX_BYTES = 1 << 20


@frozen
class UvTable:
    """uv's settings for a spec, the names of its indexes, and the content of ``venvstacks.uv.toml`` if that is used."""

    values: Mapping[str, object]
    indexes: frozenset[str]
    side_file: bytes | None


def read_uv(tool: Table | None, folder: Path, mistakes: Mistakes) -> UvTable:
    """Read ``[tool.uv]`` of the spec, or ``venvstacks.uv.toml`` beside it if the spec has none."""
    table = None if tool is None else tool.table("uv")
    side_file = None
    if table is None and (tool is None or "uv" not in tool):
        table, side_file = _read_side_file(folder / SIDE_FILE, mistakes)
    if table is None:
        return UvTable(values={}, indexes=frozenset(), side_file=side_file)
    names = [entry.string("name") for entry in table.tables("index")]
    indexes = frozenset(name for name in names if name)
    for entry in table.tables("index"):
        entry.string("url", required="a string")
    _check_sources(table, indexes)
    _refuse_logins(table, table.values, "")
    return UvTable(values=table.values, indexes=indexes, side_file=side_file)


def _read_side_file(path: Path, mistakes: Mistakes) -> tuple[Table | None, bytes | None]:
    try:
        data = read_regular(path, limit=_MAX_BYTES)
    except FileNotFoundError:
        return None, None
    except OSError as error:
        mistakes.add(SIDE_FILE, f"cannot be read: {error.strerror}")
        return None, None
    try:
        values = parse_toml(data)
    except TomlError as error:
        mistakes.add(SIDE_FILE, f"not valid TOML: {error}")
        return None, data
    if "tool" in values:
        mistakes.add(SIDE_FILE, "has a table [tool]", "write the settings in it without [tool.uv]")
        return None, data
    return Table(values=values, key=SIDE_FILE, mistakes=mistakes), data


def _refuse_logins(table: Table, value: object, key: str) -> None:
    """Add a mistake for each URL in uv's settings that holds a login."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            _refuse_logins(table, one, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            _refuse_logins(table, one, f"{key}[{number}]")
    elif isinstance(value, str) and has_credentials(value):
        table.add_mistake(key, f"holds a login, which locks would write down: {redact(value)}", LOGIN_HINT)


def _check_sources(table: Table, indexes: frozenset[str]) -> None:
    sources = table.table("sources")
    if sources is None:
        return
    for name, source in sources.values.items():
        index = source.get("index") if isinstance(source, dict) else None
        if not isinstance(index, str):
            sources.add_mistake(name, 'must be an index config, {index = "name"}')
        elif index not in indexes:
            sources.add_mistake(name, f"references an unknown package index {quote(index)}{_known(indexes)}")
    _normalised(sources, dict.fromkeys(sources.values, ""))


def read_package_indexes(table: Table, indexes: frozenset[str], inherited_from: Sequence[Layer]) -> dict[str, str]:
    """Read the index of each distribution (normalised name), inherited ones included. Layers must agree.

    `inherited_from` are the layers whose indexes are inherited, nearest first.
    """
    overrides = table.string_table("index_overrides")
    for name in (*overrides, *overrides.values()):
        if name not in indexes:
            table.add_warning("index_overrides", f"unknown package index {quote(name)}")
    merged: dict[str, str] = {}
    for lower in inherited_from:
        for distribution, index in lower.package_indexes.items():
            chosen = merged.setdefault(distribution, index)
            if chosen not in (index, overrides.get(index)):
                _disagreement(table, "depends on layers with an", distribution, index, chosen)
    declared = table.string_table("package_indexes")
    section = table.table("package_indexes") or table
    for name, index in declared.items():
        if index not in indexes:
            section.add_mistake(name, f"unknown package index {quote(index)}{_known(indexes)}")
    own = _normalised(section, declared)
    for distribution, index in own.items():
        below = merged.get(distribution)
        if below is not None and index not in (below, overrides.get(below)):
            _disagreement(table, "declares an", distribution, below, index)
    return {**merged, **own}


def read_priority_indexes(table: Table, indexes: frozenset[str]) -> tuple[str, ...]:
    """Read the names of the indexes to search first."""
    names = table.strings("priority_indexes") or ()
    for number, name in enumerate(names):
        if name not in indexes:
            text = f"priority index list references an unknown package index {quote(name)}{_known(indexes)}"
            table.add_mistake(f"priority_indexes[{number}]", text)
    return names


def _disagreement(table: Table, how: str, distribution: str, below: str, wanted: str) -> None:
    accept = f"index_overrides = {{{_toml_key(below)} = {quote(wanted)}}}"
    text = f"{how} inconsistent package index override for {distribution} (specify '{accept}' to accept)"
    table.add_mistake("package_indexes", text)


def _normalised(table: Table, entries: Mapping[str, str]) -> dict[str, str]:
    """Normalise distribution names (PEP 503). Two spellings of one name are a mistake."""
    result: dict[str, str] = {}
    for name, index in entries.items():
        normal = re.sub(r"[-_.]+", "-", name).lower()
        if normal in result:
            table.add_mistake(name, f"multiple sources for {normal} after name normalization")
        else:
            result[normal] = index
    return result


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quote(name)


def _known(indexes: frozenset[str]) -> str:
    return f", known: {', '.join(sorted(indexes))}" if indexes else ", [tool.uv] names none"
