"""Images of containers: one layer for each object, whose blob is the archive of the object as caches have it.

`contents` chooses what an image has, `assemble` makes its documents, `destinations` and `bases` are where it goes and
what it stands on.
"""

from vstore.publish.image.attachments import Artifact, Attachment
from vstore.publish.image.destinations import ImagePlace, LayoutFile, LayoutFolder, RegistryRepository
from vstore.publish.image.model import FIXED_CREATED, NON_ROOT, BaseNeeds, BuiltImage, ImageLayer, ImageOptions
from vstore.publish.image.output import ImageOutput, ImagePlan

__all__ = [
    "FIXED_CREATED",
    "NON_ROOT",
    "Artifact",
    "Attachment",
    "BaseNeeds",
    "BuiltImage",
    "ImageLayer",
    "ImageOptions",
    "ImageOutput",
    "ImagePlace",
    "ImagePlan",
    "LayoutFile",
    "LayoutFolder",
    "RegistryRepository",
]
