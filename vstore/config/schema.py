"""The JSON schema (draft 7) of ``config.toml``, for editors."""

from __future__ import annotations

from typing import Any

from vstore.config.keys import CACHE, KEYS, ConfigKey

Schema = dict[str, Any]


def config_schema() -> dict[str, Any]:
    """Return the schema."""
    top: Schema = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "config.toml of a vstore store"}
    tables = _table({one.path: one for one in KEYS})
    return {**top, **tables, "properties": {"$schema": {"type": "string"}, **tables["properties"]}}


def _table(keys: dict[tuple[str, ...], ConfigKey]) -> Schema:
    """Return the schema of a table with these keys, by their paths from here."""
    inner: dict[str, dict[tuple[str, ...], ConfigKey]] = {}
    for path, key in keys.items():
        inner.setdefault(path[0], {})[path[1:]] = key
    schemas = {name: _value(below[()]) if () in below else _table(below) for name, below in inner.items()}
    if CACHE in schemas:  # a cache: its URL, or a table with it
        table = {**schemas[CACHE], "required": ["url"]}
        return {"type": "object", "additionalProperties": {"anyOf": [table["properties"]["url"], table]}}
    return {"type": "object", "additionalProperties": False, "properties": schemas}


def _value(key: ConfigKey) -> Schema:
    import json

    default: Schema = {"default": json.loads(key.default)} if key.default else {}
    return {"description": key.meaning, **key.kind.schema, **default}
