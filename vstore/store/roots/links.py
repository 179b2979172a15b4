"""Links that are roots of a user: in ``gcroots/``, or anywhere else and named by an entry in ``gcroots/auto/``."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from vstore.digest import hash_bytes
from vstore.errors import NotFoundError, StoreError, UsageError
from vstore.fs.place import Claim, PlaceTaken, claim, put_link, recognise, try_link
from vstore.objects import LAYER_FILE, StorePath
from vstore.store.layout import StoreLayout
from vstore.store.roots.notes import NO_NOTE, RootNote, remove_note, write_note

ENVIRONMENT_ROOT = ".vstore-root"  # the link in a virtual environment that keeps its layer alive


def object_at(layout: StoreLayout, place: Path) -> StorePath | None:
    """Return the object that contains a place or that it leads to through links; None if it is not in this store."""
    return object_below(os.path.realpath(layout.store), place)


def object_below(store: str, place: Path) -> StorePath | None:
    """Like `object_at`, given the real path of the folder ``store``."""
    try:
        return StorePath.parse(Path(os.path.realpath(place)).relative_to(store).parts[0])
    except (ValueError, IndexError):
        return None


def add_root(layout: StoreLayout, link: Path, path: StorePath, note: RootNote = NO_NOTE) -> None:
    """Make `link` a root of an object: a link in ``gcroots/``, or an entry that names a link elsewhere.

    A link elsewhere must exist and lead to the object; the root ends when it is removed. Raises StoreError.
    """
    if link.parent == layout.gcroots:
        if link.name.startswith(".") or (os.path.lexists(link) and not link.is_symlink()):
            raise StoreError(f"not a name for a root: {link.name}")
        entry, target = link, f"../store/{path}"
    elif object_at(layout, link) != path:
        raise StoreError(f"{link} does not lead to {path}")
    else:
        entry, target = indirect_entry(layout, link), str(link)
    with layout.opened(entry.parent) as folder:
        write_note(folder, entry.name, note)
        folder.replace_symlink(entry.name, target)


def is_root(layout: StoreLayout, link: Path) -> bool:
    """Return whether `add_root` made a root of a link, whatever is there now."""
    return _entry(layout, link).is_symlink()


def _entry(layout: StoreLayout, link: Path) -> Path:
    return link if link.parent == layout.gcroots else indirect_entry(layout, link)


def remove_root(layout: StoreLayout, link: Path) -> None:
    """End a root that `add_root` made, and remove its link. Raises NotFoundError if there is no such root."""
    entry = _entry(layout, link)
    if not entry.is_symlink():
        raise NotFoundError(f"not a root: {link}", hint="`vstore roots` lists them")
    if entry != link:
        remove_out_link(layout, link)
    with layout.opened(entry.parent) as folder:
        folder.unlink(entry.name)
        remove_note(folder, entry.name)


def claim_root(layout: StoreLayout, place: Path, *, trial: bool = False) -> Claim:
    """Check the place of a root before any work is done.

    With `trial`, make a link there and remove it, since some file systems have no links. Raises UsageError for an
    invalid name, and if the place is taken by anything but a root of this store.
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


def make_out_link(layout: StoreLayout, place: Path, path: StorePath) -> None:
    """Make a link outside of the store lead to an object. Raises as `claim_root` does.

    The link in an environment leads to a file of the layer: installers follow links to folders.
    """
    target = layout.object(path)
    if place.name == ENVIRONMENT_ROOT and (target / LAYER_FILE).is_file():
        target /= LAYER_FILE
    while True:  # another process may make the same link; anything but a root of this store is refused
        with suppress(PlaceTaken):
            put_link(str(target), claim_root(layout, place))
            return


def remove_out_link(layout: StoreLayout, link: Path) -> None:
    """Remove a link outside of the store if it leads into this store."""
    if is_out_link(layout, link):
        link.unlink()


def is_out_link(layout: StoreLayout, place: Path) -> bool:
    """Return whether a link leads straight to an object or a profile of this store, whether that exists or not.

    The link in an environment leads to a file of the object.

    After the store was moved, a link to an object in the old place counts if the store still has its entry.
    """
    try:
        target = Path(os.readlink(place))
    except OSError:
        return False
    if place.name == ENVIRONMENT_ROOT and target.parts[-len(LAYER_FILE.parts) :] == LAYER_FILE.parts:
        target = target.parents[len(LAYER_FILE.parts) - 1]
    leads_to = os.path.realpath(place.parent / target.parent)
    if leads_to == os.path.realpath(layout.profiles):
        return True
    try:
        StorePath.parse(target.name)
    except ValueError:
        return False
    moved = target.parent.name == layout.store.name and indirect_entry(layout, place).is_symlink()
    return moved or leads_to == os.path.realpath(layout.store)


def indirect_entry(layout: StoreLayout, link: Path) -> Path:
    """Return the entry in the store that names an outside link as a root."""
    return layout.indirect_roots / hash_bytes("indirect root 1", os.fsencode(link)).short
