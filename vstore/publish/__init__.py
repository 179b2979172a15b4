"""Handing stacks to others: archives with metadata, plain folders, and bundles for machines without a network.

What is handed out is made by `realise` before; here it is only named, packed and copied.
"""

from vstore.publish.bundles import Packed, Unpacked, left_out, pack_bundle, unpack_bundle
from vstore.publish.export import ExportOptions, ExportPlan, Links, check_export, export, plan_export
from vstore.publish.members import bottom_up, matching, members_of_spec, members_of_stack
from vstore.publish.model import Member, PlacedObject
from vstore.publish.plan import PublishOptions
from vstore.publish.publish import Published, check_publish, plan_publish, publish
from vstore.publish.selector import find

__all__ = [
    "ExportOptions",
    "ExportPlan",
    "Links",
    "Member",
    "Packed",
    "PlacedObject",
    "PublishOptions",
    "Published",
    "Unpacked",
    "bottom_up",
    "check_export",
    "check_publish",
    "export",
    "find",
    "left_out",
    "matching",
    "members_of_spec",
    "members_of_stack",
    "pack_bundle",
    "plan_export",
    "plan_publish",
    "publish",
    "unpack_bundle",
]
