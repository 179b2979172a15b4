"""The limit on the files and connections that this process has open at the same time."""

from __future__ import annotations

import sys


def raise_descriptor_limit(wanted: int) -> int:
    """Raise the limit to `wanted`, or as far as the system allows, and return it. A higher limit stays."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and (hard == resource.RLIM_INFINITY or soft < hard):
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
