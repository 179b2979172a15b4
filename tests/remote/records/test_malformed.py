"""A record that is malformed in any of its fields is a miss with one warning, and ends a pull with one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from scripts.testing.machine import Machine, folder_cache, machine
from scripts.testing.trees import recipe
from vstore.errors import ArchiveError, CacheError
from vstore.objects import StorePath
from vstore.remote import FileCache, pull
from vstore.remote.file_cache.layout import object_key, realisation_key
from vstore.remote.transport.memory import MemoryTransport

VALUES = (
    "null", "true", "-1", "0", "1.5", "NaN", "1e999", "9223372036854775808", '""', '"x"', '"\\ud800"', '"a\\u0000b"',
    '"../../x"', "[]", "[null]", '["x", "x"]', "{}", '{"a": NaN}', "[" * 70 + "]" * 70, "[" * 9000,
)  # fmt: skip
Field = tuple[str | int, ...]


def fields(value: object, at: Field = ()) -> Iterator[Field]:
    """Every place in a JSON value."""
    yield at
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from fields(child, (*at, key))


def spoilt(document: object, at: Field) -> str:
    """The JSON text of the document with ``HERE`` in the place of the value there."""
    if not at:
        return '"HERE"'
    changed = json.loads(json.dumps(document))
    inner = changed
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = "HERE"
    return json.dumps(changed)


def spoilings(cache: Path, key: str) -> Iterator[MemoryTransport]:
    """The cache with each value in each place of this record, and its other files as they are."""
    contents = {file.relative_to(cache).as_posix(): file.read_bytes() for file in cache.rglob("*") if file.is_file()}
    document = json.loads(contents[key])
    for number, (at, value) in enumerate(product(fields(document), VALUES)):
        place = MemoryTransport(f"memory://{number}")
        for name, data in contents.items():
            place.put(name, spoilt(document, at).replace('"HERE"', value).encode() if name == key else data)
        yield place


@pytest.mark.parametrize("kind", ["realisation", "object"])
def test_any_value_in_any_field_is_a_miss_with_one_warning(tmp_path: Path, kind: str) -> None:
    """But where it is right after all: what no digest and no signature covers is not believed."""
    with machine(tmp_path / "builder") as builder:
        *_, top = builder.add_three()
        builder.push(folder_cache(tmp_path / "cache"), top)
    key = realisation_key(recipe("top")) if kind == "realisation" else object_key(top)
    places, number, taken = spoilings(tmp_path / "cache", key), 0, 0
    while (place := next(places, None)) is not None:
        with machine(tmp_path / f"client{number}") as client:
            while place is not None:  # in one store until something is taken
                number += 1
                if attempt(client, place, top, by_name=kind == "object"):
                    taken += 1
                    break
                place = next(places, None)
    assert number > 140 and taken < number / 10, (number, taken)


def attempt(client: Machine, place: MemoryTransport, top: StorePath, *, by_name: bool) -> bool:
    """Whether it was taken. A substitution warns once where it was not, a pull ends with one line."""
    client.said.warnings.clear()
    with closing(client.substituter(FileCache(place))) as substituter:
        found = substituter.substitute(recipe("top"))
    assert len(client.said.warnings) == (found is None), client.said.warnings
    if found is None and by_name:
        try:
            pull(client.fetcher(), FileCache(place), [top])
        except (CacheError, ArchiveError) as error:
            client.said.warnings.append(error.message)
    assert not any("\n" in text for text in client.said.warnings)
    return client.store.is_valid(top)
