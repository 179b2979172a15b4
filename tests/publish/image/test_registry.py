"""Images in a registry: what is sent, what is shared, and what a base of a registry gives."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.images import RUN, make_image, missing_tool
from scripts.testing.registries import LocalRegistry, docker_registry
from scripts.testing.world import World
from tests.publish.image.test_running import SAID, Storage, short_folder
from tests.sbom.validators import assert_cyclonedx, assert_spdx
from vstore.oci import ImageIndex, ImageManifest, Reference, Sha256
from vstore.remote import open_repository

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def blobs(registry: LocalRegistry) -> set[str]:
    """Return the digests of all blobs and manifests that the registry stores."""
    return {path.parent.name for path in registry.storage.glob("docker/registry/v2/blobs/sha256/*/*/data")}


def manifest(registry: LocalRegistry, text: str) -> ImageManifest:
    """Return the manifest of an image of the registry."""
    reference = Reference.parse(f"{registry.host}/{text}")
    data = open_repository(reference).get(f"manifests/{reference.version}", limit=4 << 20)
    assert data is not None
    return ImageManifest.decode(data)


def push(world: World, registry: LocalRegistry, text: str, *arguments: str, what: str = "project") -> Any:
    return world.json("image", what, "--push", f"{registry.host}/{text}", *arguments)


def test_an_image_of_what_was_pushed_sends_only_documents(world: World, registry: LocalRegistry) -> None:
    """Its layers are the archives of the cache, which are not packed again."""
    pushed = world.json("push", registry.url("team/cache"), "project")
    assert len(pushed["pushed"]) == 6
    before = blobs(registry)
    planned = push(world, registry, "team/cache:1", "--dry-run")
    assert blobs(registry) == before
    made = push(world, registry, "team/cache:1")
    assert made["written"] == [] and made["sent_bytes"] == 0
    assert planned["digest"] == made["digest"] and planned["unchanged"] == made["unchanged"]
    [image] = made["images"]
    assert blobs(registry) - before == {image["digest"][7:], image["image_id"][7:]}
    stored = manifest(registry, "team/cache:1")
    assert [str(layer.digest) for layer in stored.layers] == [layer["digest"] for layer in image["layers"]]
    assert Sha256.of(stored.encode()) == Sha256.parse(made["digest"])


def test_an_sbom_is_found_by_the_digest_of_its_image(world: World, registry: LocalRegistry, tmp_path: Path) -> None:
    """docker-registry 2.8 lists no referrers, so the tag of the specification does; images stay images for others."""
    made = push(world, registry, "with/sbom:1", "--sbom", "cyclonedx")
    push(world, registry, "with/sbom:1", "--sbom", "spdx")
    again = push(world, registry, "with/sbom:1", "--sbom", "cyclonedx")
    assert again["sboms"] == made["sboms"] and again["digest"] == made["digest"]
    err = world.run("sbom", made["sboms"][0]["path"], "--from", registry.url("with/sbom:1"), code=10)[1]
    assert "the cache is the repository, without tag or digest" in err
    transport = open_repository(Reference.parse(f"{registry.host}/with/sbom"))
    listed = ImageIndex.decode(transport.get(f"manifests/sha256-{made['digest'][7:]}", limit=4 << 20) or b"").manifests
    assert [one.artifact_type for one in listed] == ["application/vnd.cyclonedx+json", "application/spdx+json"]
    documents = []
    for one in listed:
        artifact = manifest(registry, f"with/sbom@{one.digest}")
        assert artifact.subject is not None and str(artifact.subject.digest) == made["digest"]
        documents.append(transport.get(f"blobs/{artifact.layers[0].digest}", limit=4 << 20) or b"")
    assert_cyclonedx(documents[0])
    assert_spdx(documents[1], tmp_path)
    assert documents[0].decode() == world.run("sbom", "project")[0]
    if not missing_tool("skopeo"):
        source = f"docker://{registry.host}/with/sbom"
        for version in (":1", f":sha256-{made['digest'][7:]}", f"@{listed[0].digest}"):
            subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"{source}{version}"], check=True)
        subprocess.run(
            ["skopeo", "copy", "-q", "--src-tls-verify=false", f"{source}:1", f"dir:{tmp_path / 'copy'}"], check=True
        )


def test_two_applications_share_the_layers_of_their_framework(world: World, registry: LocalRegistry) -> None:
    first = push(world, registry, "one/app:1", what="project/hello")
    (world.spec.parent / "hello.py").write_text("import low\nprint(low.VERSION)\n")
    world.realise()
    before = blobs(registry)
    again = push(world, registry, "one/app:2", "--tag", "latest")
    own = [layer for layer in again["images"][0]["layers"] if layer["path"] in again["written"]]
    assert [layer["path"].partition("-")[2] for layer in own] == ["app-hello", "project-stack"]
    assert again["sent_bytes"] == sum(layer["size_bytes"] for layer in own) < 20_000
    assert len(blobs(registry) - before) == 4  # two layers, the config, the manifest
    assert manifest(registry, "one/app:latest") == manifest(registry, "one/app:2")
    shared = {layer["digest"] for layer in first["images"][0]["layers"][:-1]}
    assert shared < {layer["digest"] for layer in again["images"][0]["layers"]}


def test_blobs_are_taken_from_another_repository(world: World, registry: LocalRegistry) -> None:
    push(world, registry, "from/here:1")
    before = blobs(registry)
    push(world, registry, "to/there:1", "--mount-from", "from/here")
    assert blobs(registry) == before
    links = list(registry.storage.glob("docker/registry/v2/repositories/to/there/_uploads/*"))
    assert links == []  # nothing was sent
    assert manifest(registry, "to/there:1") == manifest(registry, "from/here:1")


def test_a_base_of_the_registry_is_mounted_and_named(world: World, registry: LocalRegistry, tmp_path: Path) -> None:
    if reason := missing_tool("skopeo"):
        pytest.skip(reason)
    make_image(tmp_path / "base", [b"\0" * 1024])
    base = f"{registry.host}/bases/debian:13"
    place = f"oci:{tmp_path / 'base'}:base"
    as_docker = ["skopeo", "copy", "-q", "--dest-tls-verify=false", "--format", "v2s2"]
    subprocess.run([*as_docker, place, f"docker://{base}"], check=True)
    made = push(world, registry, "on/base:1", "--base", base)
    found = manifest(registry, "on/base:1")
    assert found.annotations["org.opencontainers.image.base.name"] == base
    assert str(found.layers[0].digest) == made["images"][0]["base"][0]
    assert found.layers[0].media_type == "application/vnd.oci.image.layer.v1.tar+gzip"
    copied = found.annotations["org.opencontainers.image.base.digest"]
    assert manifest(registry, f"bases/debian@{copied}").layers[0].digest == found.layers[0].digest
    fixed = push(world, registry, "on/base:2", "--base", f"{registry.host}/bases/debian@{copied}")
    assert fixed["images"][0]["layers"] == made["images"][0]["layers"]


def test_what_is_no_image_of_the_registry_is_one_line(world: World, registry: LocalRegistry) -> None:
    for base in (f"{registry.host}/bases/none:1", f"{registry.host}/bases/none@{Sha256.of(b'')}"):
        _, said = world.run("image", "project", "--push", f"{registry.host}/a/b:1", "--base", base, code=2)
        assert "error: no such image" in said
    _, said = world.run("image", "project", "--push", f"{registry.host}/a/b@{Sha256.of(b'')}", code=2)
    assert "pushed under a tag" in said
    _, said = world.run("image", "project", "--push", "127.0.0.1:1/a/b:1", code=10)
    assert said.count("error:") == 1


def test_the_whole_way(world: World, registry: LocalRegistry, bases: Path, tmp_path: Path) -> None:
    """Spec, cache in a registry, second machine by substitution, image, container: every blob has one digest."""
    if reason := missing_tool("podman", "runc"):
        pytest.skip(reason)
    url, key = registry.url("whole/way"), world.json("key", "generate", "builder")["public"]
    world.run("push", url, "project")
    other = World(world.folder, tmp_path / "second")
    other.run("config", "set", "trusted_keys", "--append", key)
    other.run("config", "set", "caches.team", url)
    realised = other.json("realise", str(other.spec), "--locked")
    assert {layer["origin"] for layer in realised["layers"]} == {"substituted"}
    arguments = ("--base", f"{bases}:bare")
    made = push(other, registry, "whole/way:1", *arguments)
    first = world.json("image", "project", "-o", str(tmp_path / "layout"), *arguments)
    own = [layer["digest"] for layer in made["images"][0]["layers"]]
    assert [layer["digest"] for layer in first["images"][0]["layers"]] == own
    assert first["images"][0]["image_id"] == made["images"][0]["image_id"]
    assert made["written"] == []
    cached = {path.parent.name for path in registry.storage.glob("docker/registry/v2/blobs/sha256/*/*/data")}
    assert {digest[7:] for digest in own} <= cached
    with short_folder() as folder:
        podman = Storage(folder)
        image = podman("pull", "--quiet", "--tls-verify=false", f"{registry.host}/whole/way:1").splitlines()[-1]
        assert f"sha256:{image}" == made["images"][0]["image_id"]
        assert podman(*RUN, image, "whole") == f"{SAID} whole"
