"""A store in the lower folder of an overlay, as one that was baked into an image."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def overlaid(lower: Path, work: Path) -> Iterator[Path]:
    """Mount an overlay over `lower`; what changes lies in a folder of `work`. OSError where that cannot be done."""
    for name in ("upper", "work", "merged"):
        (work / name).mkdir(parents=True)
    merged = work / "merged"
    options = f"lowerdir={lower},upperdir={work}/upper,workdir={work}/work,redirect_dir=off"
    done = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", options, merged], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OSError(done.stderr.strip())
    try:
        yield merged
    finally:
        subprocess.run(["umount", merged], check=True)


def why_no_overlay(work: Path) -> str | None:
    """None when an overlay can be mounted here that refuses to move a folder of its lower layer, else the reason."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root can mount"
    (work / "low" / "one").mkdir(parents=True)
    try:
        with overlaid(work / "low", work / "over") as merged:
            os.rename(merged / "one", merged / "two")
    except OSError as error:
        return None if error.errno else str(error)
    return "this overlay moves folders"
