"""Images of the Open Container Initiative as values: descriptors, manifests, configs and references."""

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
    "Descriptor",
    "ImageIndex",
    "ImageManifest",
    "ImagePlatform",
    "Reference",
    "Sha256",
    "decode_document",
]
