"""SBOMs of a real stack: validators accept them, and they state what is there."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.world import World
from tests.sbom.validators import assert_cyclonedx, assert_spdx
from vstore.api import sboms, stores

Sbom = Callable[..., Any]
CYCLONEDX, SPDX = sboms.SbomFormat.CYCLONEDX, sboms.SbomFormat.SPDX


def nested(components: list[Any], owner: str = "") -> Iterator[tuple[Any, str]]:
    """Yield the components of a CycloneDX document, each with the name of the one that contains it."""
    for one in components:
        yield one, owner
        yield from nested(one.get("components", []), one["name"])


def component(document: Any, name: str) -> Any:
    found = [one for one, _ in nested(document["components"]) if one["name"] == name]
    assert len(found) == 1, (name, found)
    return found[0]


def needs(document: Any, name: str) -> set[str]:
    """Return the names of the components on which one depends."""
    names = {one["bom-ref"]: one["name"] for one, _ in nested(document["components"])}
    edges = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    return {names[key] for key in edges[component(document, name)["bom-ref"]]}


def properties(one: Any) -> dict[str, str]:
    return {item["name"].removeprefix("vstore:"): item["value"] for item in one.get("properties", [])}


@pytest.mark.parametrize(
    ("what", "all_files"),
    [
        ("project", False),
        ("project/app-hello", False),
        ("cpython-*", False),
        pytest.param("project", True, marks=pytest.mark.slow),
    ],
)
def test_validators_accept_the_documents(native_world: World, what: str, all_files: bool, tmp_path: Path) -> None:
    with stores.open_store(native_world.root, read_only=True) as store:
        if what == "cpython-*":
            path = next(one.path for one in store.objects.all() if one.kind == stores.Kind.INTERPRETER)
        else:
            path = stores.resolve_what(store, what).path
        data = sboms.make_sbom(store, path, sboms.SbomOptions(all_files=all_files))
        assert_cyclonedx(data)
        assert_spdx(sboms.make_sbom(store, path, sboms.SbomOptions(format=SPDX, all_files=all_files)), tmp_path)
    assert json.loads(data)["metadata"]["component"]["bom-ref"] == str(path)


@pytest.mark.slow
def test_pyspdxtools_accepts_the_file(native_world: World, tmp_path: Path) -> None:
    file = tmp_path / "project.spdx.json"
    native_world.run("sbom", "project", "--format", "spdx", "-o", str(file))
    subprocess.run([Path(sys.executable).parent / "pyspdxtools", "-i", file], check=True)


def test_the_layers_and_distributions_are_nested_and_depend_on_one_another(sbom: Sbom) -> None:
    document = sbom()
    owners = {one["name"]: owner for one, owner in nested(document["components"]) if one["type"] != "file"}
    assert owners["app-hello"] == owners["framework-mid"] == owners["python"] == owners["cpython"] == ""
    assert owners["server"] == owners["loop"] == owners["hello"] == owners["helper"] == "app-hello"
    assert owners["midlib"] == "framework-mid" and owners["low"] == owners["native"] == "python"
    assert needs(document, "server") == {"midlib", "low", "loop"}  # not by a false marker, nor by an extra without it
    assert needs(document, "midlib") == {"low"}
    assert {"framework-mid", "python", "cpython", "server"} <= needs(document, "app-hello")
    assert needs(document, "cpython") == set()
    stack = document["metadata"]["component"]
    edges = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    assert component(document, "app-hello")["bom-ref"] in edges[stack["bom-ref"]]


def test_a_distribution_states_its_identity_and_origin(native_world: World, sbom: Sbom) -> None:
    document = sbom()
    server, native = component(document, "server"), component(document, "native")
    (wheel,) = native_world.wheels.glob("server-*.whl")
    assert server["purl"] == "pkg:pypi/server@1.0%2Blocal.1"
    assert server["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    assert properties(server)["wheel-source"] == "local" and "externalReferences" not in server
    assert native["description"] == "Native code"
    assert native["externalReferences"] == [{"type": "website", "url": "https://native.example/"}]
    interpreter = component(document, "cpython")
    assert interpreter["purl"] == f"pkg:generic/cpython@{interpreter['version']}"
    assert interpreter["cpe"] == f"cpe:2.3:a:python:python:{interpreter['version']}:*:*:*:*:*:*:*"
    assert properties(interpreter)["source"] in ("adopted", "managed")
    assert properties(component(document, "hello"))["kind"] == "launch-module"
    assert properties(component(document, "helper"))["kind"] == "support-module"


def test_licences_are_expressions_or_names(sbom: Sbom) -> None:
    document, spdx = sbom(), sbom(SPDX)
    assert component(document, "native")["licenses"][0]["expression"] == "MIT OR Apache-2.0"
    assert component(document, "server")["licenses"][0]["license"]["name"] == "BSD License"
    assert component(document, "loop")["licenses"][0]["license"]["name"] == "Apache 2.0"
    assert "licenses" not in component(document, "low")
    declared = {one["name"]: one.get("licenseDeclared") for one in spdx["packages"]}
    assert declared["native"] == "MIT OR Apache-2.0" and declared["loop"] == "LicenseRef-Apache-2.0"
    assert declared["low"] == "NOASSERTION" and declared["zlib"] == "Zlib AND LicenseRef-own"
    texts = {one["licenseId"]: one["extractedText"] for one in spdx["hasExtractedLicensingInfos"]}
    assert texts["LicenseRef-Apache-2.0"] == "Apache 2.0" and "LicenseRef-own" in texts


def test_sboms_in_wheels_are_merged(native_world: World) -> None:
    out, err = native_world.run("sbom", "project")
    document = json.loads(out)
    assert "the SBOM broken.json in native 1.0 is left out" in err
    names = [
        one["name"] for one, owner in nested(document["components"]) if owner == "native" and one["type"] != "file"
    ]
    assert sorted(names) == ["cc", "libgfortran", "zlib"]  # the same component of two references is one
    assert component(document, "cc")["scope"] == "excluded"
    assert component(document, "zlib")["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert properties(component(document, "zlib"))["sbom"] == "parts/own.spdx.json"
    assert needs(document, "native") == {"libgfortran", "zlib", "cc"}


def test_every_shared_library_has_an_owner(native_world: World, sbom: Sbom) -> None:
    document, spdx = sbom(), sbom(SPDX)
    owners = {one["bom-ref"]: owner for one, owner in nested(document["components"]) if one["type"] == "file"}
    for path in _libraries(native_world.root / "store"):
        assert owners.pop(path), path
    assert not owners
    files = {
        one["name"].rpartition("/")[2]: owner for one, owner in nested(document["components"]) if one["type"] == "file"
    }
    assert files["libgfortran-040039e1-0352e75f.so.5.0.0"] == "libgfortran"
    assert files["libother-8f1e9814.so"] == files["_core.abi3.so"] == "native"
    names = {one["SPDXID"]: one["name"] for one in spdx["packages"]}
    contained = {
        names[one["relatedSpdxElement"]].rpartition("/")[2]: names[one["spdxElementId"]]
        for one in spdx["relationships"]
        if one["relationshipType"] == "CONTAINS"
    }
    assert files.items() <= contained.items()


def _libraries(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if re.search(r"\.so(\.\d+)*$", path.name) and path.is_file() and not path.is_symlink():
            relative = path.relative_to(folder)
            inside = any((folder / parent).is_symlink() for parent in relative.parents)
            if not inside:
                yield relative.as_posix()


def test_files_have_their_digests(native_world: World, sbom: Sbom) -> None:
    """With all files they are read, otherwise the digests of wheels are those of RECORD; both are right."""
    store = native_world.root / "store"
    for all_files in (False, True):
        found = [one for one, _ in nested(sbom(all_files=all_files)["components"]) if one["type"] == "file"]
        for one in found:
            data = (store / one["bom-ref"]).read_bytes()
            digests = {each["alg"]: each["content"] for each in one["hashes"]}
            assert digests["SHA-256"] == hashlib.sha256(data).hexdigest(), one
            assert digests.get("SHA-1") in (None, hashlib.sha1(data).hexdigest()), one
    names = {one["bom-ref"].partition("/")[2] for one in found}
    assert {"share/vstore/layer.json", "stack.json"} <= names
    files = {one["fileName"] for one in sbom(SPDX, all_files=True)["files"]}
    assert {name[2:] for name in files} >= {one["bom-ref"] for one in found}


@pytest.mark.slow
def test_the_same_objects_give_the_same_bytes(native_world: World, tmp_path: Path) -> None:
    """Also on another machine, at another time. Another time of creation is another document."""
    other = native_world.copy(tmp_path / "other")
    for form in ("cyclonedx", "spdx"):
        words = ("sbom", "project", "--format", form)
        text = native_world.run(*words)[0]
        assert text == other.run(*words, TZ="Asia/Tokyo", PYTHONHASHSEED="7")[0]
        one, dated = json.loads(text), json.loads(native_world.run(*words, SOURCE_DATE_EPOCH="1700000000")[0])
        assert "2023-11-14T22:13:20Z" in json.dumps(dated)
        key = "serialNumber" if form == "cyclonedx" else "documentNamespace"
        assert one[key] != dated[key]


def test_an_object_from_another_machine_may_state_no_origin(native_world: World, tmp_path: Path) -> None:
    """What was pulled from a cache may have no recipe, or a strange one."""
    from vstore.store.manifests import read_manifest, write_manifest
    from vstore.store.model import Provenance

    world = native_world.copy(tmp_path / "other")
    with stores.open_store(world.root) as store:
        infos = store.objects.all()
        for number, info in enumerate(infos):
            manifest, _ = read_manifest(store.layout.manifest(info.path))
            metadata = ({}, {"recipe_text": {"lowers": 1, "sha256": 2}, "origins": {"x": 3}})[number % 2]
            write_manifest(store.layout, info, manifest, Provenance(metadata=metadata))
        path = stores.resolve_what(store, "project").path
        document = json.loads(sboms.make_sbom(store, path))
        assert_spdx(sboms.make_sbom(store, path, sboms.SbomOptions(format=SPDX)), tmp_path)
    assert_cyclonedx(json.dumps(document).encode())
    assert needs(document, "server") == {"midlib", "low", "loop"}
