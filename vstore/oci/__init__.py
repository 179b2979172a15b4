"""Images of the Open Container Initiative as values: descriptors, manifests, configs, references and layouts."""

from vstore.oci.config import ContainerDefaults, HistoryEntry, ImageConfig
from vstore.oci.model import (
    EMPTY_BLOB,
    EMPTY_DESCRIPTOR,
    MAX_DOCUMENT_BYTES,
    Descriptor,
    ImageIndex,
    ImageManifest,
    ImagePlatform,
    Sha256,
    decode_document,
)
from vstore.oci.reference import Reference

__all__ = [
    "EMPTY_BLOB",
    "EMPTY_DESCRIPTOR",
    "MAX_DOCUMENT_BYTES",
    "ContainerDefaults",
    "Descriptor",
    "HistoryEntry",
    "ImageConfig",
    "ImageIndex",
    "ImageManifest",
    "ImagePlatform",
    "Reference",
    "Sha256",
    "decode_document",
]
