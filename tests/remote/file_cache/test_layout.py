"""The keys of a cache of files: each names its object, whatever the object is called."""

from __future__ import annotations

import pytest

from vstore.digest import hash_bytes
from vstore.objects import StorePath
from vstore.remote.file_cache import layout
from vstore.sbom_format import SbomFormat

DIGEST = hash_bytes("test", b"")
OLD = StorePath.make(DIGEST, "old")
NAMES = ("app", "a.from.b", "x.json", "x.tar.zst", "x.cdx", "x.cdx.record", "x.spdx.json", "x.delta", "x" * 127)


@pytest.mark.parametrize("name", NAMES)
def test_the_object_of_a_file_is_read_from_its_key(name: str) -> None:
    path = StorePath.make(DIGEST, name)
    keys = [layout.archive_key(path), layout.pin_key(path)]
    keys += [layout.delta_key(path, OLD), layout.delta_record_key(path, OLD)]
    for form in SbomFormat:
        keys += [layout.sbom_key(path, form), layout.sbom_record_key(path, form)]
    assert [layout.owner(key) for key in keys] == [path] * len(keys)
    assert len(set(keys)) == len(keys)
    assert all(len(key.rpartition("/")[2]) <= 255 for key in keys)


@pytest.mark.parametrize("name", NAMES)
def test_records_are_told_from_what_they_describe(name: str) -> None:
    path = StorePath.make(DIGEST, name)
    form = SbomFormat.SPDX
    for record in (layout.object_key(path), layout.delta_record_key(path, OLD), layout.sbom_record_key(path, form)):
        assert layout.is_record(record)
    assert not layout.is_record(layout.delta_key(path, OLD)) and not layout.is_record(layout.sbom_key(path, form))


@pytest.mark.parametrize("key", ["archives/xx/what", "pins/what.json", "sboms/xx/what.cdx.json"])
def test_a_file_without_an_object_is_told(key: str) -> None:
    with pytest.raises(ValueError, match="not a store path"):
        layout.owner(key)
