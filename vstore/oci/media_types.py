"""Media types of the OCI image specification 1.1, and those of Docker's image format 2.2, which say the same.

https://github.com/opencontainers/image-spec/blob/v1.1.1/media-types.md
"""

from __future__ import annotations

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
GZIP_LAYER = f"{LAYER}+gzip"
ZSTD_LAYER = f"{LAYER}+zstd"

_DOCKER = "application/vnd.docker"
DOCKER_MANIFEST = f"{_DOCKER}.distribution.manifest.v2+json"
DOCKER_LIST = f"{_DOCKER}.distribution.manifest.list.v2+json"
DOCKER_CONFIG = f"{_DOCKER}.container.image.v1+json"
DOCKER_LAYER = f"{_DOCKER}.image.rootfs.diff.tar"

MANIFESTS = (MANIFEST, DOCKER_MANIFEST)
INDEXES = (INDEX, DOCKER_LIST)
CONFIGS = (CONFIG, DOCKER_CONFIG)

_OCI_LAYERS = {
    LAYER: LAYER,
    GZIP_LAYER: GZIP_LAYER,
    ZSTD_LAYER: ZSTD_LAYER,
    DOCKER_LAYER: LAYER,
    f"{DOCKER_LAYER}.gzip": GZIP_LAYER,
    f"{DOCKER_LAYER}.zstd": ZSTD_LAYER,
}


def oci_layer(media_type: str) -> str | None:
    """Return the OCI media type of a layer's bytes; None for what is no layer, or one that must not be distributed."""
    return _OCI_LAYERS.get(media_type)
