"""Running programs as roots: the objects that they use, read from /proc on Linux."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

from vstore.digest import SHORT_LENGTH
from vstore.objects import StorePath
from vstore.store.layout import StoreLayout


def running_objects(layout: StoreLayout) -> Iterator[tuple[str, StorePath]]:
    """Yield the number of each process of this user with an object that it uses; of all processes for root.

    A layer of pure Python appears only in the arguments, where the trampolines leave its path.
    """
    places = {os.fsencode(os.path.realpath(layout.store)), os.fsencode(layout.store.absolute())}
    prefix = b"|".join(re.escape(place) for place in sorted(places))
    pattern = re.compile(rb"(?:%b)/([0-9a-z]{%d}-[A-Za-z0-9@+._-]+)" % (prefix, SHORT_LENGTH))
    for number in _processes():
        for name in set(pattern.findall(_traces(f"/proc/{number}"))):
            try:
                path = StorePath.parse(os.fsdecode(name))
            except ValueError:
                continue
            yield number, path


def _processes() -> list[str]:
    """Return the numbers of all processes but this one."""
    with suppress(OSError):
        return [name for name in os.listdir("/proc") if name.isdecimal() and name != str(os.getpid())]
    return []


def _traces(process: str) -> bytes:
    """Return all traces of the objects that a process uses.

    Each file is read separately, as the process may end at any time.
    """
    found = []
    for name in ("cmdline", "environ", "maps"):
        with suppress(OSError), open(f"{process}/{name}", "rb", buffering=0) as file:
            found.append(file.read())
    links = [f"{process}/exe", f"{process}/cwd"]
    with suppress(OSError):
        links += [f"{process}/fd/{number}" for number in os.listdir(f"{process}/fd")]
    for link in links:
        with suppress(OSError):
            found.append(os.fsencode(os.readlink(link)))
    return b"\0".join(found)
