"""Roots that a user names: links in ``gcroots/`` and links anywhere else, made and removed without harm to others'."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path

from vstore.errors import UsageError
from vstore.fs.place import Claim, PlaceTaken, claim, put_link, recognise, try_link
from vstore.objects import StorePath
from vstore.store.layout import Layout
from vstore.store.roots import is_out_link


def claim_root(layout: Layout, place: Path, *, trial: bool = False) -> Claim:
    """Look at the place of a root before any work is done.

    With `trial` a link is made there and removed, since not each file system has links. Raises UsageError for what is
    no name of a root, and where something is that is not a root of this store.
    """
    if place.parent == layout.gcroots:
        if (
            place.name.startswith(".")
            or not place.name.isprintable()
            or place in (layout.indirect_roots, layout.temp_roots)
        ):
            raise UsageError(f"not a name for a root: {place.name!r}", hint="choose another name")
        return recognise(place, lambda _, status: stat.S_ISLNK(status.st_mode))
    found = claim(place, lambda path, _: is_out_link(layout, path), store=layout.root)
    if trial and found.old is None:
        try_link(place.parent)
    return found


def make_out_link(layout: Layout, place: Path, path: StorePath) -> None:
    """Let a link outside of the store lead to an object. Raises as `claim_root`."""
    while True:  # another process may make the same link; what is not a root of this store is refused
        with suppress(PlaceTaken):
            put_link(str(layout.object(path)), claim_root(layout, place))
            return
