"""Staging folders, in which objects are built, and the move of a finished tree into the store in one step."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vstore.errors import StoreError, VstoreError
from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder, exchange_entries, flush_folder, thaw_folder
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.scan import freeze_directory
from vstore.store.layout import StoreLayout


def check_mounts(layout: StoreLayout) -> None:
    """Raise StoreError if folders cannot be renamed from the staging area to the store."""
    if not layout.on_one_mount(layout.tmp):
        raise StoreError(
            f"{layout.tmp} and {layout.store} are on different mounts, so objects cannot be renamed",
            hint="mount the whole root in one place, or choose another with --root",
        )


@contextmanager
def staging(layout: StoreLayout, name: str, *, keep_failed: bool) -> Iterator[Path]:
    """Make a staging folder, as `Store.staging` does."""
    folder = layout.tmp / f"{name}-{os.urandom(6).hex()}"
    lock = folder.with_name(folder.name + ".lock")
    with ExitStack() as held:
        tmp = held.enter_context(layout.opened(layout.tmp))
        with lock_file(layout.locks.gc, shared=True):  # so that no collector sees the lock file before it is held
            held.enter_context(lock_file(lock))
        tmp.make_folder(folder.name, 0o700)  # so that no other user can put links into it
        try:
            reached(Point.STAGED)
            yield folder
        except Exception as error:
            if keep_failed and folder.is_dir():
                with suppress(OSError):  # ``failed`` is a mount of its own
                    _keep(layout, tmp, folder.name)
                    if isinstance(error, VstoreError):
                        error.details += (f"kept: {layout.failed / folder.name}",)
            raise
        finally:
            tmp.remove(folder.name)
            tmp.unlink(lock.name)


def _keep(layout: StoreLayout, tmp: Folder, name: str) -> None:
    with layout.opened(layout.root) as root:
        with suppress(FileExistsError):
            root.make_folder(layout.failed.name)
        with root.folder(layout.failed.name) as failed:
            tmp.rename(name, failed, name)


def move_in(layout: StoreLayout, staged: Path, final: Path) -> None:
    """Move a tree into place and freeze it. Exchange it with a damaged object or an orphan in that place."""
    with layout.opened(staged.parent) as source, layout.opened(final.parent) as store:
        if not exchange_entries(source, staged.name, store, final.name):
            _clear(layout, store, final.name)
            reached(Point.ADD_CLEARED)
            source.rename(staged.name, store, final.name)
        reached(Point.ADD_MOVED)
        with store.folder(final.name) as folder:
            freeze_directory(folder.at)
            flush_folder(folder)
        flush_folder(store)
        reached(Point.ADD_FROZEN)


def _clear(layout: StoreLayout, store: Folder, name: str) -> None:
    """Move an orphan or a damaged object to the trash. The caller holds the temp root and the object's lock.

    An orphan of another user gets a new name in the same folder, for which its owner is not needed. A folder in the
    lower layer of an overlay cannot be moved (EXDEV); it is removed in place.
    """
    try:
        is_folder = stat.S_ISDIR(store.lstat(name).st_mode)
    except FileNotFoundError:
        return
    token = os.urandom(4).hex()
    try:
        if is_folder:
            thaw_folder(store, name)
        with layout.opened(layout.trash) as trash:
            store.rename(name, trash, f"{name}-{token}")
    except PermissionError:
        store.rename(name, store, f".{name}.{token}")
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        store.remove(name)
