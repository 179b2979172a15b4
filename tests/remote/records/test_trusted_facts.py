"""Only what a digest or a verified signature covers is believed: any other field may lie, and nothing comes of it.

Each field of each record is changed in turn, with the signatures left as they were and without any. What follows is a
miss, or the very object, with everything that is known of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, TRUST, Machine, folder_cache, machine, put_record
from scripts.testing.trees import recipe
from vstore.digest import hash_json
from vstore.errors import VstoreError
from vstore.objects import LAYER_FILE, Kind, StorePath
from vstore.publish import BundleOptions, BundleOutput, members_of_objects, unpack_bundle
from vstore.remote import FileCache, Signer, Trust, publish_channel, pull, read_channel
from vstore.remote.file_cache.layout import CACHE_FILE, archive_key, channel_key, object_key, realisation_key
from vstore.remote.records.trust import sign
from vstore.reporter import NullReporter
from vstore.store import Provenance, Store
from vstore.store.health.reindex import reindex
from vstore.store.health.verify import repair_in_place, verify
from vstore.store.manifests import write_manifest

NOW = datetime.now(UTC)
PART = b"part"
RECIPES = ("python", "layer", "stack")


@dataclass
class World:
    folder: Path
    builder: Machine
    paths: tuple[StorePath, StorePath, StorePath]

    @property
    def cache(self) -> FileCache:
        return folder_cache(self.folder / "cache")

    def place(self, key: str) -> Path:
        return self.folder / "cache" / key


def three(builder: Machine) -> tuple[StorePath, StorePath, StorePath]:
    """An interpreter, a layer and a stack, as far as their files tell."""
    python = builder.add("python", {"bin/python": b"python"}, kind=Kind.INTERPRETER, parts=(PART,))
    layer = json.dumps({"kind": "framework"}).encode()
    low = builder.add("layer", {str(LAYER_FILE): layer}, (python,), kind=Kind.FRAMEWORK, parts=(PART,))
    return python, low, builder.add("stack", {"stack.json": b"{}"}, (low,), kind=Kind.STACK)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("belief")
    with machine(folder / "builder") as builder:
        made = World(folder, builder, three(builder))
        builder.push(made.cache, *made.paths)
        info = builder.store.objects.info(made.paths[2])
        assert info is not None
        publish_channel(made.cache, "c", info, signer=Signer((KEY,)), lifetime=timedelta(days=1), now=NOW)
        yield made


def lies(value: object) -> Iterator[object]:
    """Other values for a field, of its own type and of others."""
    match value:
        case str():
            yield from ("", value[::-1], "0" * len(value), *({*map(str, Kind)} - {value} if value in set(Kind) else ()))
        case int():
            yield from (-1, value + 1, 1 << 60)
        case list():
            yield from ([], [*value, *value], [bytes(32).hex()])
        case dict():
            for key, inner in value.items():
                yield from ({**value, key: lie} for lie in lies(inner))
            yield {**value, "recipes": ["0" * 64], "kind": "stack", "parts": ["00"]}
    yield None


def spoilt(document: dict[str, object]) -> Iterator[dict[str, object]]:
    """The record with each field changed in turn; with the signatures it had, and without any."""
    for key, value in document.items():
        for number, lie in enumerate(lies(value)):
            changed = {**document, key: lie}
            yield changed if key == "signatures" or number % 2 else {**changed, "signatures": []}
    yield {**document, "signatures": []}
    yield {**document, "of no meaning": 1}


def is_believed_rightly(builder: Machine, client: Machine) -> None:
    """Assert that all that is here is as the builder has it, or that less is known of it."""
    for info in client.store.objects.all():
        mine = builder.store.objects.info(info.path)
        assert mine is not None
        for name in ("digest", "kind", "size_bytes", "files", "references"):
            assert getattr(info, name) == getattr(mine, name), name
        manifest, metadata = client.store.manifest(info.path)
        known, told = builder.store.manifest(info.path)
        assert manifest == known
        assert metadata["wheel_keys"] in ([], told["wheel_keys"])
        assert "recipes" not in metadata
    assert {*client.store.objects_with_wheel(PART), *client.store.objects_with_wheel(bytes(32))} <= set(
        builder.store.objects_with_wheel(PART)
    )
    for name in RECIPES:
        assert client.store.realisation(recipe(name)) in (None, builder.store.realisation(recipe(name)))
    assert len(client.store.realisations.recipes()) <= len(RECIPES)


KEYS = {
    "cache": lambda world: CACHE_FILE,
    "interpreter": lambda world: object_key(world.paths[0]),
    "layer": lambda world: object_key(world.paths[1]),
    "stack": lambda world: object_key(world.paths[2]),
    "realisation": lambda world: realisation_key(recipe("layer")),
    "channel": lambda world: channel_key("c"),
}


@pytest.mark.parametrize("part", KEYS)
def test_a_field_that_lies_is_a_miss_or_changes_nothing(world: World, part: str, tmp_path: Path) -> None:
    file = world.place(KEYS[part](world))
    good = file.read_bytes()
    outcomes = []
    try:
        for number, document in enumerate(spoilt(json.loads(good))):
            file.write_text(json.dumps(document))
            with machine(tmp_path / f"{number}") as client:
                outcomes.append(take(world, client))
                is_believed_rightly(world.builder, client)
    finally:
        file.write_bytes(good)
    assert not all(outcomes), "some lies must be noticed"
    assert any(outcomes), "some lie about nothing"


def take(world: World, client: Machine) -> bool:
    """By recipe, by channel, and by name without any trust; whether all that is asked for so came."""
    came = client.substituter(world.cache).substitute(recipe("layer")) is not None
    try:
        path = read_channel(client.store, world.cache, "c", trust=TRUST, now=NOW).path
        assert path == world.paths[2]
        pull(client.fetcher(), world.cache, [path])
        pull(client.fetcher(Trust()), world.cache, world.paths)
    except VstoreError:
        return False
    return came


def test_the_top_of_a_bundle_that_lies_is_refused_or_is_another_object(world: World, tmp_path: Path) -> None:
    """What a bundle is for is the word of whoever gave it; what it brings is what its names say."""
    file = tmp_path / "bundle"
    store = world.builder.store
    output = BundleOutput(store=store, file=file, options=BundleOptions())
    output.write(members_of_objects(store, world.paths[2:]), jobs=1, reporter=NullReporter())
    good = file.read_bytes()
    for old, new in (
        (b'"kind":"stack"', b'"kind":"layer"'),
        (b'"kind":"framework"', b'"kind":"interprete"'),
        (b'"kind":"framework"', b'"kind":"runtime"  '),
        (str(world.paths[2]).encode(), str(world.paths[1]).encode()),
    ):
        if len(old) == len(new) and good.count(old):
            file.write_bytes(good.replace(old, new))
            with machine(tmp_path / f"{hash_json('x', new.hex())}") as client:
                try:
                    unpack_bundle(client.store, file, trust=Trust(), reporter=NullReporter())
                except VstoreError:
                    continue
                is_believed_rightly(world.builder, client)


def test_signed_metadata_gives_no_recipe(world: World, tmp_path: Path) -> None:
    """One trusted key alone could else say, through a record, what a recipe gives; a reindex would believe it."""
    key = object_key(world.paths[0])
    good = world.cache.object(world.paths[0])
    assert good is not None
    metadata = {**good.metadata, "recipes": [str(recipe("made up"))], "kind": "stack", "of no meaning": 1}
    try:
        put_record(world.cache, key, sign(replace(good, metadata=metadata, signatures=()), [KEY]))
        with machine(tmp_path / "client") as client:
            pull(client.fetcher(), world.cache, world.paths[:1])
            assert dict(client.store.manifest(world.paths[0])[1])["of no meaning"] == 1
        reindex(tmp_path / "client")
        with machine(tmp_path / "client") as client:
            assert client.store.realisation(recipe("made up")) is None
            is_believed_rightly(world.builder, client)
    finally:
        put_record(world.cache, key, good)


@pytest.mark.parametrize("trust", [Trust(), TRUST], ids=["nobody", "the builder"])
def test_a_kind_is_read_off_the_tree(world: World, trust: Trust, tmp_path: Path) -> None:
    for path in world.paths:
        file = world.place(object_key(path))
        good = file.read_bytes()
        try:
            document = json.loads(good)
            file.write_text(
                json.dumps({**document, "kind": "interpreter" if document["kind"] != "interpreter" else "stack"})
            )
            with machine(tmp_path / path.name) as client:
                pull(client.fetcher(trust), world.cache, [path])
                is_believed_rightly(world.builder, client)
        finally:
            file.write_bytes(good)


def spoil_kinds(root: Path, *, manifests: bool) -> None:
    """Call everything in a store an interpreter, in its index, and in its manifests too."""
    with sqlite3.connect(root / "index.sqlite") as connection:
        connection.execute("UPDATE objects SET kind = 'interpreter'")
    connection.close()
    if manifests:
        with Store.open(root) as store:
            for info in store.objects.all():
                manifest, metadata = store.manifest(info.path)
                write_manifest(store.layout, info, manifest, Provenance(metadata={**metadata}))


@pytest.mark.parametrize("manifests", [False, True])
def test_a_wrong_kind_in_a_store_is_found_and_mended(tmp_path: Path, manifests: bool) -> None:
    for way in ("reindex", "repair", "pull"):
        root = tmp_path / way
        with machine(root) as one:
            paths = three(one)
            before = {info.path: info.kind for info in one.store.objects.all()}
            cache = folder_cache(tmp_path / "cache")
            one.push(cache, *paths)
        spoil_kinds(root, manifests=manifests)
        if way == "reindex":
            reindex(root)
        with machine(root) as one:
            found = verify(one.store, contents=False, reporter=NullReporter())[1]
            assert {problem.path for problem in found} == (set(paths[1:]) if way != "reindex" or manifests else set())
            if way == "repair":
                assert all(repair_in_place(one.store, path) for path in paths)
            if way == "pull":
                one.store.distrusted.update(paths)
                pull(one.fetcher(), cache, paths)
            assert {info.path: info.kind for info in one.store.objects.all()} == before
            if way == "repair":
                assert verify(one.store, contents=False, reporter=NullReporter())[1] == []


def test_every_byte_that_is_changed_in_an_unsigned_archive_is_a_miss_or_changes_nothing(
    world: World, tmp_path: Path
) -> None:
    file = world.place(archive_key(world.paths[1]))
    good = file.read_bytes()
    try:
        for at in range(0, len(good), len(good) // 12):
            file.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
            with machine(tmp_path / f"{at}") as client:
                take(world, client)
                is_believed_rightly(world.builder, client)
    finally:
        file.write_bytes(good)
