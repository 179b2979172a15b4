"""A folder whose file system has no locks, as of some network mounts: flock(2) fails there, for preloaded processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int without(int handle) {
    char link[64], place[4096];
    const char *folder = getenv("FOLDER_WITHOUT_LOCKS");
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t size = readlink(link, place, sizeof place - 1);
    if (!folder || size < 0) return 0;
    place[size] = 0;
    return strncmp(place, folder, strlen(folder)) == 0;
}

int flock(int handle, int how) {
    int (*real)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
    if (without(handle)) { errno = atoi(getenv("LOCK_ERROR")); return -1; }
    return real(handle, how);
}
"""


def without_locks(work: Path, folder: Path, error: int) -> dict[str, str]:
    """The variables of a process for which locks on files below `folder` fail with this number; skips without cc."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    work.mkdir(parents=True, exist_ok=True)
    (work / "shim.c").write_text(_SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", work / "shim.so", work / "shim.c", "-ldl"], check=True)
    # LD_PRELOAD cannot hold a path with a space, LD_LIBRARY_PATH can
    preload = {"LD_PRELOAD": "shim.so", "LD_LIBRARY_PATH": str(work)}
    return {**preload, "FOLDER_WITHOUT_LOCKS": os.fspath(folder), "LOCK_ERROR": str(error)}
