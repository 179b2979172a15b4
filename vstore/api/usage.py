"""Disk space: what each object takes, and each package in it.

Example::

    from vstore.api import stores, usage

    with stores.open_store() as store:
        stack = stores.resolve_what(store, "project").path
        objects = [info.path for info in stores.closure(store, stack)]
        for one in usage.usage_of_packages(store, objects):
            print(one.package, one.version, one.disk_bytes, one.exclusive_bytes)
"""

from __future__ import annotations

from vstore.report.usage import MODULES, OTHER, Total, Usage, total_usage, usage_of_objects, usage_of_packages

__all__ = ["MODULES", "OTHER", "Total", "Usage", "total_usage", "usage_of_objects", "usage_of_packages"]
