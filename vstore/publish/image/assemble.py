"""The documents of images: pure, from the contents, the archives, the base and the options.

Nothing of the machine or of the day is in them, so two machines make the same image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from vstore.errors import UsageError
from vstore.oci import Descriptor, ImageConfig, ImageIndex, ImageManifest, ImagePlatform, Sha256, media_types
from vstore.oci.config import ContainerDefaults, HistoryEntry
from vstore.oci.media_types import oci_layer
from vstore.publish.image.contents import MAX_LAYERS, ImageContents
from vstore.publish.image.model import BuiltImage, ImageLayer, ImageOptions
from vstore.remote.records.annotations import OBJECT_PATH
from vstore.values import frozen, replace

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OCI = "org.opencontainers.image"
_MOVE_PYTHON = ("PYTHONHOME", "__PYVENV_LAUNCHER__")  # they would send an interpreter to another installation


@frozen
class BaseImage:
    """The image that another one stands on. `name` is its reference, None for one of a file or a folder."""

    digest: Sha256  # of the manifest for this platform
    layers: tuple[Descriptor, ...]
    config: ImageConfig
    name: str | None = None

    @classmethod
    def of(cls, manifest: ImageManifest, config: ImageConfig, digest: Sha256, name: str | None) -> BaseImage:
        """Return a base, with the layers of Docker by the names that OCI has for them. Raises ValueError."""
        if len(manifest.layers) != len(config.diff_ids):
            raise ValueError(f"{len(manifest.layers)} layers, and {len(config.diff_ids)} of its config")
        layers = []
        for layer in manifest.layers:
            media_type = oci_layer(layer.media_type)
            if media_type is None:
                raise ValueError(f"a layer cannot be copied: {layer.media_type}")
            layers.append(Descriptor(media_type=media_type, digest=layer.digest, size_bytes=layer.size_bytes))
        return cls(digest=digest, layers=tuple(layers), config=config, name=name)

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """The making of its layers: one entry for each layer, and others."""
        history = self.config.history
        if sum(not entry.empty_layer for entry in history) == len(self.layers):
            return history
        return (HistoryEntry(created_by="a layer of the base"),) * len(self.layers)


def assemble(
    contents: ImageContents, layers: Sequence[ImageLayer], base: BaseImage | None, options: ImageOptions
) -> BuiltImage:
    """Return the image of these layers, which are those of the contents, in their order. Raises UsageError."""
    base_layers = base.layers if base else ()
    if len(base_layers) + len(layers) > MAX_LAYERS:
        raise UsageError(f"{len(base_layers) + len(layers)} layers with the base: an image has at most {MAX_LAYERS}")
    created = rfc3339(options.created)
    config = ImageConfig(
        platform=base.config.platform if base else contents.platform,
        created=created,
        diff_ids=(*(base.config.diff_ids if base else ()), *(layer.diff_id for layer in layers)),
        history=(
            *(base.history if base else ()),
            *(HistoryEntry(created=created, created_by=f"vstore {layer.info.path}") for layer in layers),
        ),
        defaults=_defaults(contents, base.config.defaults if base else ContainerDefaults(), options),
    ).encode()
    manifest = ImageManifest(
        config=Descriptor.of(media_types.CONFIG, config),
        layers=(*base_layers, *(layer.descriptor for layer in layers)),
        annotations={f"{_OCI}.created": created, **_base_annotations(base), **options.annotations},
    )
    return BuiltImage(
        platform=contents.platform,
        config=config,
        manifest=manifest.encode(),
        base_layers=base_layers,
        layers=tuple(layers),
        needs=contents.needs,
    )


def assemble_index(images: Sequence[BuiltImage], options: ImageOptions) -> bytes:
    """Return the index of images for several platforms."""
    return ImageIndex(manifests=tuple(image.descriptor for image in images), annotations=options.annotations).encode()


def rfc3339(when: datetime) -> str:
    """Return a time as configs have it."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def fits(platform: ImagePlatform, base: ImagePlatform) -> bool:
    """Return whether a base is for a platform. Every variant of ARM's 64 bits is the eighth."""
    return (platform.os, platform.architecture) == (base.os, base.architecture)


def _defaults(contents: ImageContents, base: ContainerDefaults, options: ImageOptions) -> ContainerDefaults:
    inherited = {name: value for name, value in base.environment.items() if name not in _MOVE_PYTHON}
    search_path = ":".join((*contents.search_path, inherited.get("PATH") or DEFAULT_PATH))
    return replace(
        base,
        entrypoint=contents.entrypoint,
        command=(),
        environment={**inherited, "PATH": search_path, **options.environment},
        user=options.user,
        working_directory=options.working_directory or base.working_directory or "/",
        labels={
            **base.labels,
            f"{_OCI}.title": contents.name,
            OBJECT_PATH: " ".join(map(str, contents.tops)),
            **options.labels,
        },
    )


def _base_annotations(base: BaseImage | None) -> Mapping[str, str]:
    if base is None:
        return {}
    named = {f"{_OCI}.base.name": base.name} if base.name else {}
    return {**named, f"{_OCI}.base.digest": str(base.digest)}
