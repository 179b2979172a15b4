"""SBOMs in wheels are read in every form, and whatever they hold, the document stays valid."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sbom.conftest import AUDITWHEEL, PYTHON_SPDX
from tests.sbom.validators import assert_cyclonedx, assert_spdx
from vstore.sbom.bundled import merge_embedded, place_libraries
from vstore.sbom.cyclonedx import cyclonedx_document
from vstore.sbom.embedded import EmbeddedSbom, Unreadable, read_embedded
from vstore.sbom.model import Component, ComponentType, HashedFile, PartsList, SbomOptions
from vstore.sbom.spdx import spdx_document
from vstore.values import replace

SITE = "lib/python3.11/site-packages"
SERIAL = "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79"


def read(folder: Path, *documents: object) -> list[EmbeddedSbom | Unreadable]:
    (folder / "sboms").mkdir()
    for number, document in enumerate(documents):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        (folder / "sboms" / f"{number}.json").write_bytes(data)
    return list(read_embedded(folder))


def one(folder: Path, document: object) -> EmbeddedSbom:
    (found,) = read(folder, document)
    assert isinstance(found, EmbeddedSbom), found
    return found


def cyclonedx(*components: Any, **more: Any) -> dict[str, Any]:
    return {"bomFormat": "CycloneDX", "specVersion": "1.7", "components": list(components), **more}


def test_a_wheel_without_sboms_has_none(tmp_path: Path) -> None:
    assert list(read_embedded(tmp_path)) == []


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff{}", "utf-8"),
        (b"[]", "expected a table"),
        (b'<bom xmlns="http://cyclonedx.org/schema/bom/1.6"/>', "Expecting value"),
        ({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}, "neither CycloneDX nor SPDX 2"),
        (cyclonedx({"name": 3}), r"components\[0\].name: expected a string"),
        (cyclonedx({"name": "\x00"}), r"components\[0\].name: expected a name"),
        (cyclonedx({"name": "x", "licenses": "MIT"}), "licenses: expected an array"),
        (cyclonedx(metadata=[]), "metadata: expected a table"),
        ({"spdxVersion": "SPDX-2.3", "packages": [{"name": "x"}]}, "SPDXID: expected a string"),
        (b'{"bomFormat": "CycloneDX", "components": ' + b'[{"name": "x", "components": ' * 200 + b"[]", "line 1"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"bomFormat": "CycloneDX", "a": [' + b"0," * 600_000 + b"0]}", "more than 500000 values"),
        (b" " * (16 << 20) + b"{}", "larger than the limit"),
        (cyclonedx(*({"name": f"c{number}"} for number in range(20_001))), "more than 20000 components"),
    ],
)
def test_what_cannot_be_used_is_told_with_the_reason(tmp_path: Path, document: object, reason: str) -> None:
    bad, good = read(tmp_path, document, AUDITWHEEL)
    assert isinstance(bad, Unreadable) and bad.name == "0.json"
    assert reason.replace("\\", "") in bad.reason, bad.reason
    assert isinstance(good, EmbeddedSbom)


def test_links_are_not_followed_and_too_many_documents_are_told(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(AUDITWHEEL))
    read(tmp_path, *[cyclonedx()] * 100)
    (tmp_path / "sboms" / "00.json").symlink_to("../secret.json")
    found = list(read_embedded(tmp_path))
    assert isinstance(found[1], Unreadable) and found[1].name == "00.json"
    assert found[-1] == Unreadable("99.json", "there are more than 100 documents")


def test_components_nested_in_others_are_found(tmp_path: Path) -> None:
    """As maturin writes them: the subject has parts, and the references name crates."""
    subject = {"bom-ref": "crate", "name": "native-rust", "purl": "pkg:cargo/native-rust@1.0"}
    document = cyclonedx(
        {"bom-ref": "a", "name": "a", "components": [{"name": "inner"}]},
        metadata={"component": {**subject, "components": [{"bom-ref": "crate bin", "name": "lib"}]}},
        dependencies=[{"ref": "crate", "dependsOn": ["a"]}],
    )
    found = merge_embedded([one(tmp_path, document)], "L#native", "native")
    edges = {part.key: part.depends_on for part in found.parts}
    assert edges == {
        "L#native/a@": ("L#native/inner@",),
        "L#native/inner@": (),
        "L#native/lib@": (),
        "L#native/pkg:cargo/native-rust@1.0": ("L#native/a@", "L#native/lib@"),
    }
    assert found.depends_on == ("L#native/pkg:cargo/native-rust@1.0",)


def test_documents_of_one_wheel_are_merged(tmp_path: Path) -> None:
    zlib = {"bom-ref": "z", "name": "zlib", "version": "1.3", "purl": "pkg:generic/zlib@1.3"}
    part = {"bom-ref": "p", "name": "native._core", "purl": "pkg:pypi/native@1.0#core"}
    sboms = [each for each in read(tmp_path, PYTHON_SPDX, cyclonedx(zlib, part)) if isinstance(each, EmbeddedSbom)]
    found = merge_embedded(sboms, "L#native", "native")
    assert [each.name for each in found.parts] == ["zlib", "native._core"]
    assert set(found.depends_on) == {each.key for each in found.parts}


@pytest.mark.parametrize(
    ("name", "library", "owned"),
    [
        ("libgfortran", "pkg.libs/libgfortran-040039e1-0352e75f.so.5.0.0", True),
        ("FreeType", "pkg.libs/libfreetype-57f805ba.so.6", True),
        ("libjpeg / libjpeg-turbo", "pkg.libs/libjpeg-6dc8d115.so.62.4.0", True),
        ("libpng", "pkg.libs/libpng16-1d1ba958.so.16", True),
        ("PIL._imaging", "PIL/_imaging.cpython-311-x86_64-linux-gnu.so", True),
        ("libomp", "pkg/.dylibs/libomp.dylib", True),
        ("msvcp", "pkg.libs/msvcp140-0cb1a9d5d0d1b1a2.dll", True),
        ("xz", "pkg.libs/liblzma-de26b416.so.5", False),
        ("lib", "pkg.libs/libcrypt-bc2db45e.so.1", False),
    ],
)
def test_a_library_belongs_to_the_component_of_its_name(name: str, library: str, owned: bool) -> None:
    part = Component(key="L#pkg/x", type=ComponentType.LIBRARY, name=name)
    file = HashedFile(f"{SITE}/{library}", "0" * 64)
    placed = place_libraries([part], [file], SITE)
    assert (placed.parts[0].files, placed.rest) == (((file,), ()) if owned else ((), (file,)))
    twice = [part, replace(part, key="L#pkg/y")]
    assert place_libraries(twice, [file], SITE).rest == (file,)
    assert place_libraries([replace(part, excluded=True)], [file], SITE).rest == (file,)


texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(
        [
            *("MIT", "mit OR Apache-2.0", "GPL-2.0+", "LicenseRef-a", "NONE", "((((", "SHA-256", "a" * 64),
            *("https://a.example/x y", "https://a:b@c.example/?token=1", "http://[::1", "https://a.example/%"),
            *("pkg:a/b c", "pkg:generic/x@1", "pkg:pypi/native@1#x", "SPDXRef-x", "own"),
        ]
    ),
)
license_tables = st.one_of(
    st.fixed_dictionaries({}, optional={"expression": texts}),
    st.fixed_dictionaries({"license": st.fixed_dictionaries({}, optional={"id": texts, "name": texts})}),
)
components = st.recursive(
    st.fixed_dictionaries({"name": texts}),
    lambda inner: st.fixed_dictionaries(
        {"name": texts},
        optional={
            "type": texts,
            "bom-ref": texts,
            "version": texts,
            "description": texts,
            "purl": texts,
            "scope": st.sampled_from(["excluded", "required"]),
            "licenses": st.lists(license_tables, max_size=3),
            "hashes": st.lists(st.fixed_dictionaries({"alg": texts, "content": texts}), max_size=2),
            "externalReferences": st.lists(st.fixed_dictionaries({"type": texts, "url": texts}), max_size=2),
            "components": st.lists(inner, max_size=2),
        },
    ),
    max_leaves=6,
)
documents = st.builds(
    lambda found, edges: cyclonedx(*found, dependencies=edges),
    st.lists(components, max_size=4),
    st.lists(st.fixed_dictionaries({"ref": texts, "dependsOn": st.lists(texts, max_size=2)}), max_size=2),
)


@pytest.mark.slow
@settings(max_examples=150)
@given(documents)
def test_whatever_a_wheel_states_the_document_is_valid(document: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sboms = [each for each in read(folder, document) if isinstance(each, EmbeddedSbom)]
        bundled = merge_embedded(sboms, "L#native", "native")
        placed = place_libraries(bundled.parts, [HashedFile("lib/libx-1\udcff.so", "1" * 64)], SITE)
        subject = Component(
            key="L",
            type=ComponentType.PLATFORM,
            name="layer",
            parts=placed.parts,
            files=placed.rest,
            depends_on=bundled.depends_on,
        )
        parts = PartsList(subject=subject, others=(), created_at=SbomOptions().created_at)
        text = json.dumps({**cyclonedx_document(parts), "serialNumber": SERIAL}, ensure_ascii=False)
        assert_cyclonedx(text.encode())
        namespace = {"documentNamespace": "urn:vstore:sbom:1"}
        assert_spdx(json.dumps({**spdx_document(parts), **namespace}, ensure_ascii=False).encode(), folder)
