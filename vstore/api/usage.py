"""Disk space: what each object takes, and each package in it.

Example::

    from vstore.api import stores, usage

    with stores.open_store() as store:
        stack = stores.resolve_what(store, "project").path
        objects = [info.path for info in stores.closure(store, stack)]
        for one in usage.disk_usage(store, objects).objects:
            print(one.whole.path, one.whole.disk_bytes, [(part.package, part.disk_bytes) for part in one.packages])
"""

from __future__ import annotations

from vstore.report.usage import MODULES, OTHER, DiskUsage, ObjectUsage, Usage, disk_usage

__all__ = ["MODULES", "OTHER", "DiskUsage", "ObjectUsage", "Usage", "disk_usage"]
