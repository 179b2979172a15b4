"""The peak of a process's memory."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mebibytes(process: int | str = "self") -> int:
    """Return the peak of resident memory (VmHWM) of a process of Linux; 0 where there is no such process or no /proc.

    A child's `ru_maxrss` would be that of its parent before exec.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return 0
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(peak[1]) >> 10 if peak else 0
