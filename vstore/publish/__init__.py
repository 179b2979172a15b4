"""Outputs: archives with metadata, plain folders, bundles and images, for machines without a store.

`realise` makes the objects. An output only names, packs and copies them.
"""

from vstore.publish.archive_plan import ArchiveOptions
from vstore.publish.archives import ArchiveOutput
from vstore.publish.bundle import BundleOptions, BundleOutput, Unpacked, unpack_bundle
from vstore.publish.folders import FolderOptions, FolderOutput, LinkMode
from vstore.publish.image import ImageOptions, ImageOutput, ImagePlan, LayoutFile, LayoutFolder, RegistryRepository
from vstore.publish.members import (
    Member,
    PlacedObject,
    StackMembers,
    members_of_objects,
    members_of_spec,
    members_of_stack,
)
from vstore.publish.output import Output, OutputItem, OutputPlan
from vstore.publish.records import CombinedManifest, MemberRecord, outdated_layers

__all__ = [
    "ArchiveOptions",
    "ArchiveOutput",
    "BundleOptions",
    "BundleOutput",
    "CombinedManifest",
    "FolderOptions",
    "FolderOutput",
    "ImageOptions",
    "ImageOutput",
    "ImagePlan",
    "LayoutFile",
    "LayoutFolder",
    "LinkMode",
    "Member",
    "MemberRecord",
    "Output",
    "OutputItem",
    "OutputPlan",
    "PlacedObject",
    "RegistryRepository",
    "StackMembers",
    "Unpacked",
    "members_of_objects",
    "members_of_spec",
    "members_of_stack",
    "outdated_layers",
    "unpack_bundle",
]
