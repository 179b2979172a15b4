"""What the file system that holds a folder says of itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def free_bytes(place: Path) -> int:
    """What an ordinary user may still write there."""
    if sys.platform == "win32":
        import shutil  # a no-op does without it

        free = shutil.disk_usage(place).free
    else:
        found = os.statvfs(place)
        free = found.f_bavail * found.f_frsize
    return free
