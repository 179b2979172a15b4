"""Descriptors, manifests and indexes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.oci import (
    EMPTY_DESCRIPTOR,
    MAX_DOCUMENT_BYTES,
    Descriptor,
    ImageIndex,
    ImageManifest,
    ImagePlatform,
    Sha256,
    decode_document,
    media_types,
)

CONFIG = Descriptor.of(media_types.CONFIG, b"config")
LAYER = Descriptor.of(media_types.ZSTD_LAYER, b"layer", {"dev.vstore.path": "…"})
MANIFEST = ImageManifest(config=CONFIG, layers=(LAYER,), annotations={"b": "1", "a": "2"})
INDEX = ImageIndex(
    manifests=(
        Descriptor(
            media_type=media_types.MANIFEST,
            digest=Sha256.of(b"x"),
            size_bytes=1,
            platform=ImagePlatform(os="linux", architecture="arm64", variant="v8"),
        ),
    )
)


def test_the_empty_descriptor_is_that_of_the_specification() -> None:
    assert str(EMPTY_DESCRIPTOR.digest) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert EMPTY_DESCRIPTOR.size_bytes == 2


def test_encoding_is_canonical() -> None:
    text = MANIFEST.encode()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    other = ImageManifest(config=CONFIG, layers=(LAYER,), annotations={"a": "2", "b": "1"})
    assert other.encode() == text
    assert "artifactType" not in json.loads(text)


def test_documents_are_read_back() -> None:
    assert ImageManifest.decode(MANIFEST.encode()) == MANIFEST
    assert ImageIndex.decode(INDEX.encode()) == INDEX
    assert decode_document(MANIFEST.encode()) == MANIFEST
    assert decode_document(INDEX.encode()) == INDEX


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
descriptors = st.builds(
    Descriptor,
    media_type=st.sampled_from([media_types.EMPTY, media_types.GZIP_LAYER]),
    digest=st.binary().map(Sha256.of),
    size_bytes=st.integers(0, 1 << 62),
    annotations=st.dictionaries(texts, texts, max_size=3),
)


@given(config=descriptors, layers=st.lists(descriptors, max_size=3), annotations=st.dictionaries(texts, texts))
def test_any_manifest_is_read_back(config: Descriptor, layers: list[Descriptor], annotations: dict[str, str]) -> None:
    manifest = ImageManifest(config=config, layers=tuple(layers), annotations=annotations, artifact_type="a/b")
    assert ImageManifest.decode(manifest.encode()) == manifest


def test_manifests_of_docker_are_read() -> None:
    document = json.loads(MANIFEST.encode()) | {"mediaType": media_types.DOCKER_MANIFEST}
    found = decode_document(json.dumps(document, indent=3).encode())
    assert isinstance(found, ImageManifest)
    assert found.media_type == media_types.DOCKER_MANIFEST
    listed = json.loads(INDEX.encode()) | {"mediaType": media_types.DOCKER_LIST}
    assert isinstance(decode_document(json.dumps(listed).encode()), ImageIndex)


def test_manifests_without_media_type_are_read() -> None:
    """Image specification 1.0 had it as optional."""
    for one in (MANIFEST, INDEX):
        document = json.loads(one.encode())
        del document["mediaType"]
        assert decode_document(json.dumps(document).encode()) == one


def _changed(**changes: Any) -> bytes:
    document = json.loads(MANIFEST.encode()) | changes
    return json.dumps({key: value for key, value in document.items() if value is not ...}).encode()


def _layer(**changes: Any) -> list[dict[str, Any]]:
    return [LAYER.as_json() | changes]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"{" * 1000,
        b"[" * 100_000,
        _changed(schemaVersion=1),
        _changed(schemaVersion=True),
        _changed(mediaType=media_types.INDEX),
        _changed(mediaType="text/plain"),
        _changed(mediaType=3),
        _changed(manifests=[]),
        _changed(layers=...),
        _changed(layers={}),
        _changed(layers=[1]),
        _changed(config=...),
        _changed(config=[]),
        _changed(annotations={"a": 1}),
        _changed(annotations=["a"]),
        _changed(layers=_layer(size=-1)),
        _changed(layers=_layer(size="1")),
        _changed(layers=_layer(size=1 << 64)),
        _changed(layers=_layer(size=1.5)),
        _changed(layers=_layer(digest="sha256:12")),
        _changed(layers=_layer(digest="sha512:" + "0" * 128)),
        _changed(layers=_layer(digest="sha256:" + "A" * 64)),
        _changed(layers=_layer(mediaType="x")),
        _changed(layers=_layer(mediaType="a/b\r\nX: y")),
        _changed(layers=_layer(annotations={"a": None})),
        _changed(layers=_layer(platform={"os": "linux"})),
        b" " * MAX_DOCUMENT_BYTES + MANIFEST.encode(),
        MANIFEST.encode()[:-1] + b',"config":{}}',
    ],
)
def test_malformed_documents_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode_document(data)
    with pytest.raises(ValueError, match=r"\S"):
        ImageManifest.decode(data)


def test_an_index_is_no_manifest_and_a_manifest_no_index() -> None:
    with pytest.raises(ValueError, match="mediaType"):
        ImageManifest.decode(INDEX.encode())
    with pytest.raises(ValueError, match="mediaType"):
        ImageIndex.decode(MANIFEST.encode())


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "g" * 64, "sha256:" + "0" * 65, "0" * 64])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Sha256.parse(text)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode_document(data)
