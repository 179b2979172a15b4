"""The documents of images."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.publish.image.test_contents import info
from vstore.errors import UsageError
from vstore.objects import ArchiveInfo, Kind
from vstore.oci import (
    ContainerDefaults,
    Descriptor,
    HistoryEntry,
    ImageConfig,
    ImageIndex,
    ImageManifest,
    ImagePlatform,
    Sha256,
    media_types,
)
from vstore.publish.image.assemble import BaseImage, assemble, assemble_index
from vstore.publish.image.contents import MAX_LAYERS, ImageContents
from vstore.publish.image.model import ImageLayer, ImageOptions
from vstore.values import replace

AMD64 = ImagePlatform(os="linux", architecture="amd64")
APPLICATION = info("app-hello", Kind.APPLICATION)
CONTENTS = ImageContents(
    name="hello",
    platform=AMD64,
    tops=(APPLICATION.path,),
    objects=(APPLICATION,),
    entrypoint=("/app/libexec/python3.12", "-P", "-m", "hello"),
    search_path=("/app/bin",),
)
LAYER = ImageLayer(
    info=APPLICATION,
    archive=ArchiveInfo(size_bytes=9, sha256="a" * 64, diff_id="b" * 64, index_digest=None, content_bytes=1),
    annotations={"dev.vstore.object": "{}"},
)
BLOB = Descriptor.of(f"{media_types.DOCKER_LAYER}.gzip", b"layer")
BASE_CONFIG = ImageConfig(
    platform=replace(AMD64, variant="v2"),
    diff_ids=(Sha256.of(b"tar"),),
    history=(HistoryEntry(created_by="ADD"), HistoryEntry(created_by="ENV", empty_layer=True)),
    defaults=ContainerDefaults(
        entrypoint=("/entry",),
        command=("sh",),
        environment={"PATH": "/opt/bin", "LANG": "C.UTF-8", "PYTHONHOME": "/usr"},
        user="root",
        working_directory="/srv",
        labels={"vendor": "base", "kept": "yes"},
        exposed_ports=("80/tcp",),
    ),
)
BASE_MANIFEST = ImageManifest(config=Descriptor.of(media_types.DOCKER_CONFIG, b""), layers=(BLOB,))


def base(name: str | None = "docker.io/library/debian:13") -> BaseImage:
    return BaseImage.of(BASE_MANIFEST, BASE_CONFIG, Sha256.of(b"manifest"), name)


def test_without_a_base_there_is_only_what_the_content_gives() -> None:
    image = assemble(CONTENTS, [LAYER], None, ImageOptions())
    config, manifest = json.loads(image.config), ImageManifest.decode(image.manifest)
    assert config["config"] == {
        "Entrypoint": ["/app/libexec/python3.12", "-P", "-m", "hello"],
        "Env": ["PATH=/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Labels": {"dev.vstore.path": str(APPLICATION.path), "org.opencontainers.image.title": "hello"},
        "User": "65532:65532",
        "WorkingDir": "/",
    }
    assert config["history"] == [{"created": "1980-01-02T00:00:00Z", "created_by": f"vstore {APPLICATION.path}"}]
    assert config["rootfs"]["diff_ids"] == ["sha256:" + "b" * 64]
    assert manifest.config.digest == Sha256.of(image.config)
    [layer] = manifest.layers
    assert (layer.media_type, layer.size_bytes) == (media_types.ZSTD_LAYER, 9)
    assert layer.annotations == {"dev.vstore.object": "{}", "dev.vstore.path": str(APPLICATION.path)}


def test_of_a_base_all_is_kept_but_how_it_starts() -> None:
    image = assemble(CONTENTS, [LAYER], base(), ImageOptions())
    config, manifest = ImageConfig.decode(image.config), ImageManifest.decode(image.manifest)
    kept = config.defaults
    assert kept.entrypoint == CONTENTS.entrypoint and kept.command == ()
    assert dict(kept.environment) == {"PATH": "/app/bin:/opt/bin", "LANG": "C.UTF-8"}
    assert (kept.user, kept.working_directory, kept.exposed_ports) == ("65532:65532", "/srv", ("80/tcp",))
    assert kept.labels["vendor"] == "base" and kept.labels["kept"] == "yes"
    assert config.diff_ids == (Sha256.of(b"tar"), LAYER.diff_id)
    assert [entry.created_by for entry in config.history] == ["ADD", "ENV", f"vstore {APPLICATION.path}"]
    assert config.platform.variant == "v2"
    assert manifest.layers[0] == replace(BLOB, media_type=media_types.GZIP_LAYER)
    assert manifest.annotations["org.opencontainers.image.base.name"] == "docker.io/library/debian:13"
    assert manifest.annotations["org.opencontainers.image.base.digest"] == str(Sha256.of(b"manifest"))


def test_a_base_of_this_machine_is_named_by_its_digest_alone() -> None:
    manifest = ImageManifest.decode(assemble(CONTENTS, [LAYER], base(None), ImageOptions()).manifest)
    assert "org.opencontainers.image.base.name" not in manifest.annotations
    assert "org.opencontainers.image.base.digest" in manifest.annotations


def test_options_win() -> None:
    options = ImageOptions(
        user="1:1",
        working_directory="/work",
        environment={"LANG": "de", "EMPTY": ""},
        labels={"vendor": "us", "org.opencontainers.image.title": "other"},
        annotations={"a": "b"},
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )
    image = assemble(CONTENTS, [LAYER], base(), options)
    config = ImageConfig.decode(image.config)
    assert config.defaults.environment["LANG"] == "de" and config.defaults.environment["EMPTY"] == ""
    assert (config.defaults.user, config.defaults.working_directory) == ("1:1", "/work")
    assert config.defaults.labels["vendor"] == "us"
    assert config.defaults.labels["org.opencontainers.image.title"] == "other"
    assert config.created == "2026-01-01T00:00:00Z" == config.history[-1].created
    assert ImageManifest.decode(image.manifest).annotations["a"] == "b"


def test_a_base_with_another_history_gets_one_entry_for_each_layer() -> None:
    """Docker refuses an image whose history does not match its layers."""
    config = replace(BASE_CONFIG, history=(HistoryEntry(created_by="x", empty_layer=True),))
    found = BaseImage.of(BASE_MANIFEST, config, Sha256.of(b"m"), None)
    assert [entry.empty_layer for entry in found.history] == [False]


def test_bases_that_cannot_be_copied_are_refused() -> None:
    foreign = replace(BLOB, media_type="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    with pytest.raises(ValueError, match="cannot be copied"):
        BaseImage.of(replace(BASE_MANIFEST, layers=(foreign,)), BASE_CONFIG, Sha256.of(b"m"), None)
    with pytest.raises(ValueError, match="2 layers, and 1"):
        BaseImage.of(replace(BASE_MANIFEST, layers=(BLOB, BLOB)), BASE_CONFIG, Sha256.of(b"m"), None)


def test_more_layers_than_a_file_system_has_are_refused() -> None:
    many = replace(BASE_CONFIG, diff_ids=(Sha256.of(b"tar"),) * MAX_LAYERS)
    found = BaseImage.of(replace(BASE_MANIFEST, layers=(BLOB,) * MAX_LAYERS), many, Sha256.of(b"m"), None)
    with pytest.raises(UsageError, match="128 layers with the base"):
        assemble(CONTENTS, [LAYER], found, ImageOptions())


def test_an_index_names_the_image_of_each_platform() -> None:
    arm = replace(CONTENTS, platform=ImagePlatform(os="linux", architecture="arm64"))
    images = [assemble(one, [LAYER], None, ImageOptions(annotations={"a": "b"})) for one in (CONTENTS, arm)]
    index = ImageIndex.decode(assemble_index(images, ImageOptions(annotations={"a": "b"})))
    assert [str(one.platform) for one in index.manifests] == ["linux/amd64", "linux/arm64"]
    assert [one.digest for one in index.manifests] == [Sha256.of(image.manifest) for image in images]
    assert index.annotations == {"a": "b"}
